"""Measures how the cost of training grows, draws it, and predicts large runs.

  bin/scaling --study=cost --flagfile=scaling --output=cost.png
  bin/scaling --study=memory --flagfile=mnist5k --output=m.png
  bin/scaling --study=prediction --flagfile=cifar10

cost varies batch, hidden width, blocks, image size and number of series terms
around the model of the flags, measures a training step of each in a fresh
process, and fits a model of the cost. memory takes the peak of every memory
mode at two numbers of terms. prediction measures nothing: it counts operations
and asks what they would take on 1, 4 and 8 GPUs, for --num_steps steps.

A table goes to stderr; the last line of stdout is one JSON object.
"""

import dataclasses
import functools
from typing import Any

from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow.commands import options as options_lib
from tf_resflow.commands import runner
from tf_resflow.configuration import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Configured, options_lib.OutputFile):
  """The study."""

  suffixes = ('.png', '.svg')

  output: str | None = fields.field(
      None, help='The figure of cost or memory, a new .png or .svg file.')
  study: str = options_lib.required(
      help='What to do, see above.', choices=('cost', 'memory', 'prediction'))
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
    has_figure = self.study != 'prediction'
    self.refuse(not has_figure, ('output',), 'with --study=prediction',
                'A prediction has no figure.')
    errors.check(not has_figure or self.output is not None, 'output', '',
                 'the .png or .svg file of the figure')
    for name in ('batch_sizes', 'hidden', 'blocks', 'image_sizes', 'terms'):
      value = getattr(self, name)
      self.require(
          len(set(value)) > 1 or (name == 'terms' and not value), name,
          'two or more different whole numbers')


def _measure(num_repeats: int) -> functools.partial:
  """Returns the function that measures a training step in a new process."""
  return functools.partial(
      benchmarking.measure_step, runner.command('benchmark', []),
      num_repeats=num_repeats, progress_fn=options_lib.note)


def _cost(options: Options, config: configuration.Config) -> dict[str, Any]:
  study = benchmarking.study_cost(
      config, _measure(options.num_repeats),
      batch_sizes=options.batch_sizes, hidden=options.hidden,
      blocks=options.blocks, image_sizes=options.image_sizes,
      terms=options.terms or (2, 4, 8, 16))
  benchmarking.save_scaling(options.output, study.sweeps, study.cost_model)
  options_lib.note(benchmarking.format_cost(study))
  return study.report()


def _memory(options: Options, config: configuration.Config) -> dict[str, Any]:
  imports = benchmarking.peak_memory_gb()
  peaks = benchmarking.study_memory(
      config, _measure(0), options.terms or (10, 40))
  benchmarking.save_memory(
      options.output, peaks, imports,
      f'Training step, {benchmarking.describe(config)}')
  options_lib.note(benchmarking.format_memory(peaks, imports))
  return {'imports_gb': imports, 'peak_memory_gb': peaks}


def _predict(_: Options, config: configuration.Config) -> dict[str, Any]:
  work, rows = benchmarking.predict_training(config, (1, 4, 8))
  options_lib.note(benchmarking.format_prediction(work, rows, config))
  return {'step_operations': work.operations,
          'num_steps': config.optimizer.num_steps, 'predictions': rows}


_STUDIES = {'cost': _cost, 'memory': _memory, 'prediction': _predict}


def main(options: Options, config: configuration.Config) -> None:
  """Studies, and reports."""
  errors.check(
      not config.objective.hybrid, 'hybrid', 'true', 'false',
      'The operations of a classifier are not counted.')
  config.data.require(
      config.data.info().num_levels is not None, 'dataset',
      'a data set of images',
      'The studies vary the scales of image flows.')
  options_lib.print_report(_STUDIES[options.study](options, config))
