"""Measures time and peak memory of training, evaluation and sampling.

  tf_resflow benchmark --advise --flagfile=cifar10 --batch_size=16
  tf_resflow benchmark --flagfile=benchmark
  tf_resflow benchmark --flagfile=cifar10 --tasks=train --batch_size=16
  tf_resflow benchmark --workdir=runs/mnist --inputs=x.npz --tasks=evaluate
  tf_resflow benchmark --flagfile=benchmark --baseline_json=peer.json
  tf_resflow benchmark --flagfile=cifar10 --program=step --estimator=fixed:4

--advise estimates time, memory and disk space of a training run here, and what
to change if that is too much. It measures about 10 s of training steps, or two
steps. Reading data, validations, samples and writing checkpoints come on top.

Otherwise every task runs in a fresh process, on a batch of noise or of
--inputs. Times are medians of --num_repeats. Training draws a random number of
log-determinant terms; --estimator=fixed:4 fixes it, and
--evaluation_estimator=fixed:22 that of evaluation.

A table goes to stderr; the last line of stdout is one JSON object with
num_parameters, first_step_s (from the start of the process), first_metrics
(such as the loss of that step), train_step_s, evaluate_s, sample_s,
peak_memory_gb and more.

--program=PREFIX exports loss and gradients of a training step, to run with XLA
without TensorFlow: PREFIX.mlir (StableHLO) and PREFIX.npz (arguments arr_0,
arr_1, ...). To check it, compare the loss and gradient_norm with those of the
JSON line; with TF32 on a GPU they differ slightly.
"""

import dataclasses
import json
import os
from typing import Any

from tf_resflow import benchmarking
from tf_resflow import commands
from tf_resflow import configuration
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.commands import options as options_lib
from tf_resflow.commands import runner
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.specs import fields

_TASKS = ('train', 'evaluate', 'sample')
# Flags of what is timed.
_TIMING = ('num_repeats', 'evaluation_estimator', 'tolerance', 'baseline_json')
_RUN = 'run'
# Flags of a configuration that go with --workdir, too.
_WITH_WORKDIR = {'batch_size', 'import'}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Options):
  """The measurements."""

  takes_configuration = True
  excludes = {
      'advise': ('workdir', 'inputs', 'tasks', 'program', *_TIMING),
      'program': ('tasks', *_TIMING)}

  workdir: str | None = fields.field(
      None, help='A run to take configuration and weights from.')
  inputs: str | None = fields.field(
      None, help='An .npz file with dequantised images x [n, H, W, C] in '
      '[0, 1); uniform noise by default.')
  tasks: tuple[str, ...] = fields.field(
      _TASKS, help='What to measure.', choices=_TASKS, min_length=1)
  num_repeats: int = fields.field(
      5, help='Timed repeats, of which the median counts; with --tasks=train, '
      '0 measures the first step alone: start-up and memory.', minimum=0)
  evaluation_estimator: str | None = fields.changed(
      options_lib.Estimation, 'estimator', None)
  tolerance: float = fields.field(
      1e-5, help='Stop inverting at this residual.', minimum=0)
  baseline_json: str | None = fields.field(
      None, help='File whose last line is such an object of another run: print '
      'ratios to it.')
  program: str | None = fields.field(
      None, help='Export the gradients of a training step to PREFIX.mlir and '
      'PREFIX.npz, which are replaced; see above.')
  advise: bool = fields.field(
      False, help='Estimate time, memory and disk space of a run of these '
      'flags.')
  worker: str | None = fields.field(
      None, help='Measure this task in this process; used internally.',
      choices=(*_TASKS, _RUN))

  @property
  def sets_up_training(self) -> bool:
    """As tf_resflow train does, in the process that measures it."""
    return self.worker in ('train', _RUN)

  def check(self) -> None:
    super().check()
    self.require(
        self.tasks == ('train',) or self.num_repeats >= 2, 'num_repeats',
        '2 or more with the tasks evaluate and sample')
    self.require(
        self.program is None or os.access(
            os.path.dirname(os.path.abspath(self.program)), os.W_OK),
        'program', 'a prefix in a folder that can be written to')

  def run_config(self, config: configuration.Config) -> configuration.Config:
    """Returns the configuration of --workdir, if it is given."""
    if self.workdir is None:
      return config
    run = training.load_config(self.workdir)
    self.refuse(True, flags_lib.by_name().keys() - _WITH_WORKDIR,
                'cannot be used with --workdir', 'The run has its own.')
    return run if 'batch_size' not in self.flags_given else run.replace(
        batch_size=config.optimizer.batch_size)


def main(options: Options, config: configuration.Config) -> None:
  """Measures, and reports."""
  config = options.run_config(config)
  estimator = numerics.Estimator.get(config.model.training_estimator())
  settings = _settings(options, config, estimator)
  if options.program is not None:
    options_lib.note(f'Compiling {options.program}.mlir ...')
    options_lib.print_report(
        benchmarking.programs.write_program(settings, options.program))
    return
  if options.worker is not None:
    # For the process that started this one, which tells NaN from nothing.
    measure = benchmarking.tasks.TASKS[options.worker]
    print(json.dumps(measure(settings, commands.START)))
    return
  baseline = benchmarking.report.read_baseline(
      options.baseline_json) if options.baseline_json else None
  values: dict[str, Any] = {}
  for task in [_RUN] if options.advise else options.tasks:
    options_lib.note(f'Measuring {task} ...')
    values |= benchmarking.report.measure(
        runner.command('benchmark', options.arguments), task)
  if options.advise:
    _advise(benchmarking.report.advise(config, values))
    return
  options_lib.print_report({
      'batch_size': config.optimizer.batch_size,
      'estimator': estimator and estimator.spec(), **values},
      benchmarking.report.format_table(values, baseline))


def _settings(
    options: Options, config: configuration.Config,
    estimator: 'numerics.Estimator | None') -> 'benchmarking.tasks.Settings':
  """Returns what is measured of a run that is trained with an estimator."""
  options.refuse(estimator is None, ('evaluation_estimator',),
                 options_lib.EXACT, 'It goes with residual blocks.')
  read = evaluation.example_files.read_inputs
  images = None if options.inputs is None else read(
      options.inputs, config.open_data().event_shape)
  return benchmarking.tasks.Settings(
      config, workdir=options.workdir, num_repeats=options.num_repeats,
      estimator=numerics.Estimator.get(
          options.evaluation_estimator or None, 'evaluation_estimator'),
      tolerance=options.tolerance, images=images)


def _advise(report: dict[str, Any]) -> None:
  options_lib.print_report(
      report, benchmarking.report.format_table(report),
      f'To be added: {", ".join(report["left_out"])}.',
      *(f'Warning: {text}' for text in report['warnings']))
