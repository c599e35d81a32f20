"""Measures and plots the bias of the training estimators of runs.

  tf_resflow bias --workdirs=runs/iresnet,runs/roulette --output=bias.png
  tf_resflow bias --workdirs=runs/iresnet --split=validation --estimator=exact

Draws Figure 2 of the paper from runs on one data set that were trained with
--evaluate_every. The training estimator of each run, with the weights that
tools load, is compared with an unbiased one on the same examples and noise; the
mean difference is the bias. Its standard error covers examples and repeats.

A table goes to stderr; the last line of stdout is one JSON object: split, and
for every run estimator (unbiased), training_estimator,
bits_per_dim or nats (unbiased), training_bits_per_dim or training_nats, bias,
bias_stderr, bias_num_stderrs.
"""

import dataclasses
import os

import numpy as np

from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import training
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(
    options_lib.FirstExamples, options_lib.Estimation,
    options_lib.Randomness, options_lib.OutputFile, options_lib.Devices):
  """The runs, and what they are compared on."""

  suffixes = ('.png', '.svg')

  workdirs: tuple[str, ...] = options_lib.required(
      help='Folders of the runs, separated by commas.', min_length=1)
  split: str = fields.changed(options_lib.Split, 'split', 'train')
  output: str | None = fields.field(
      None, help='The figure, a new .png or .svg file.')
  num_repeats: int = fields.field(
      8, help='Independent repeats of noise and estimates.', minimum=8)

  def check(self) -> None:
    super().check()
    self.require(len({*map(os.path.abspath, self.workdirs)}) == len(
        self.workdirs), 'workdirs', 'different folders')

  def columns(self, workdir: str) -> dict[str, np.ndarray]:
    """Returns the metrics of a run, if they can be drawn."""
    columns = training.read_metrics(workdir)
    errors.check(
        'validation_nats' not in columns, 'output', self.output,
        'no figure of runs on vectors', 'It shows bits/dim.')
    errors.check(
        'validation_bits_per_dim' in columns, 'workdirs', workdir,
        'runs with validations in metrics.csv',
        'Train with --num_validation and --evaluate_every; without --output '
        'only the table is computed.')
    return columns


def main(options: Options) -> None:
  """Compares, draws, and reports."""
  # Loads TensorFlow.
  from tf_resflow.experiments import bias
  estimator = options.make_estimator()
  options.require(
      estimator is None or not estimator.is_biased, 'estimator',
      'an unbiased estimator',
      'Those that the runs were trained by are compared with it.')
  runs = [options_lib.StoredRun(workdir=path) for path in options.workdirs]
  first = runs[0].config.data
  names = [name for run in runs for name in run.config.data.differences(first)]
  options.require(not names, 'workdirs', 'runs on the same data',
                  f'Theirs differ in {", ".join(dict.fromkeys(names))}.')
  curves = {
      workdir: options.columns(workdir)
      for workdir in options.workdirs} if options.output else {}
  report = bias.main(
      _opened(runs, options), options.split, picture=options.output,
      curves=curves, batch_size=options.batch_size, seed=options.seed,
      num_repeats=options.num_repeats, num_examples=options.num_examples,
      verbose=1)
  options_lib.print_report(
      report, evaluation.results.format_table(report['runs']))


def _opened(runs, options):
  """Yields every run, when the one before it is done."""
  for run in runs:
    flow = run.open(options.dtype, options.strategy)
    split = flow.run.open(
        options.split, options.data_dir, num_examples=options.num_examples)
    yield run.workdir, flow, split, (
        options.make_estimator() or flow.evaluation_estimator(dequantizes=True))
