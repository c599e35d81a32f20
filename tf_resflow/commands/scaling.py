"""Plots how training time and memory grow with the size of a model.

  tf_resflow scaling --study=time --flagfile=scaling --output=time.png
  tf_resflow scaling --study=memory --flagfile=mnist5k --output=memory.png

--study=time varies batch, hidden width, blocks, image size and number of series
terms around the configured model, measures a training step of each in a fresh
process, and fits a model of the time. --study=memory measures the peak memory
of every --memory mode at two numbers of terms.

A table goes to stderr (s, GB); the last line of stdout is one JSON object.
"""

import dataclasses

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow.commands import options as options_lib
from tf_resflow.commands import runner
from tf_resflow.specs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.OutputFile):
  """The study."""

  takes_configuration = True
  suffixes = ('.png', '.svg')

  output: str = options_lib.required(
      help='The figure, a new .png or .svg file.')
  study: str = options_lib.required(
      help='What to measure, see above.', choices=('time', 'memory'))
  num_repeats: int = fields.field(
      5, help='Timed steps, of which the median counts, for --study=time.',
      minimum=1)


def main(options: Options, config: configuration.Config) -> None:
  """Studies, and reports."""
  # Loads matplotlib.
  from tf_resflow.experiments import scaling
  errors.check(
      not config.objective.hybrid, 'hybrid', 'true',
      problem='cannot be used here',
      advice='The operations of a classifier are not counted.')
  config.data.require(
      config.model.is_image, 'dataset',
      'a data set of images',
      'The studies vary the scales of image flows.')
  report = scaling.main(
      options.study, config, options.output,
      command=runner.command('benchmark', []),
      num_repeats=options.num_repeats, progress_fn=options_lib.note)
  options_lib.print_report(report)
