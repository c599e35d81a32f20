"""Measures how the cost of training grows, and draws it.

  bin/scaling --study=cost --flagfile=scaling --output=cost.png
  bin/scaling --study=memory --flagfile=mnist5k --output=m.png

cost varies batch, hidden width, blocks, image size and number of series terms
around the model of the flags, measures a training step of each in a fresh
process, and fits a model of the cost. memory takes the peak of every memory
mode at two numbers of terms.

A table goes to stderr (s, GB); the last line of stdout is one JSON object.
"""

import dataclasses

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow.commands import options as options_lib
from tf_resflow.commands import runner
from tf_resflow.configuration import fields

_SETTINGS = ('batch_sizes', 'hidden', 'blocks', 'image_sizes', 'terms')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Configured, options_lib.OutputFile):
  """The study."""

  suffixes = ('.png', '.svg')

  output: str | None = fields.field(
      None, help='The figure, a new .png or .svg file.')
  study: str = options_lib.required(
      help='What to do, see above.', choices=('cost', 'memory'))
  num_repeats: int = fields.field(
      5, help='Timed steps, of which the median counts, for cost; memory is '
      'that of the first step.', minimum=1)
  batch_sizes: tuple[int, ...] = fields.field(
      (8, 16, 32, 64, 128), help='For cost.', minimum=1)
  hidden: tuple[int, ...] = fields.field(
      (32, 64, 128, 256), help='For cost.', minimum=1)
  blocks: tuple[int, ...] = fields.field(
      (1, 2, 4, 8), help='Per scale, for cost.', minimum=1)
  image_sizes: tuple[int, ...] = fields.field(
      (12, 20, 28, 40), help='For cost.', minimum=1)
  terms: tuple[int, ...] = fields.field(
      (), help='Numbers of series terms: 2,4,8,16 for cost by default, 10,40 '
      'for memory.', minimum=1)

  def check(self) -> None:
    super().check()
    errors.check(self.output is not None, 'output', '',
                 'the .png or .svg file of the figure')
    for name in _SETTINGS:
      value = getattr(self, name)
      self.require(
          len(set(value)) > 1 or (name == 'terms' and not value), name,
          'two or more different whole numbers')


def main(options: Options, config: configuration.Config) -> None:
  """Studies, and reports."""
  # Loads matplotlib.
  from tf_resflow.experiments import scaling
  errors.check(
      not config.objective.hybrid, 'hybrid', 'true', 'false',
      'The operations of a classifier are not counted.')
  config.data.require(
      config.data.info().num_levels is not None, 'dataset',
      'a data set of images',
      'The studies vary the scales of image flows.')
  report = scaling.main(
      options.study, config, options.output,
      {name: getattr(options, name) for name in _SETTINGS},
      command=runner.command('benchmark', []),
      num_repeats=options.num_repeats, progress_fn=options_lib.note)
  options_lib.print_report(report, evaluation.format_table(report))
