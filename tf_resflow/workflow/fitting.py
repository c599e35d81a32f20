"""A whole run: training, the best weights, the figure on the test part."""

from collections.abc import Sequence
import contextlib
import dataclasses
import functools
import logging
import os
import shutil
import signal
import tempfile
import time
from typing import Any
import weakref

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import private_apis
from tf_resflow import training
from tf_resflow.columns import cells
from tf_resflow.columns import column_fits
from tf_resflow.training import checkpoints
from tf_resflow.training import files
from tf_resflow.training import signals
from tf_resflow.training import strategies
from tf_resflow.workflow import evaluating
from tf_resflow.workflow import fit_config
from tf_resflow.workflow import held_out
from tf_resflow.workflow import runs
from tf_resflow.workflow import trainings

_logger = logging.getLogger(__name__)
# Share of the time of a run that mixtures, which it is compared with, may take.
_SHARE_OF_TIME = 0.1
# What the figure of a part is called.
_CALLED = {'test': 'test', 'validation': 'validation, chosen on these rows:'}


def fit(
    data: Any, workdir: str | os.PathLike | None = None, *,
    condition_on: str | Sequence[str] | None = None,
    columns: str | Sequence[str] | None = None,
    drop: str | Sequence[str] | None = None, missing: str | None = None,
    column_types: str | Sequence[str] | None = None,
    test: Any = None, test_rows: str | None = None, groups: Any = None,
    num_validation: int | None = None, sample_weight: Any = None,
    seed: int | None = None,
    devices: tf.distribute.Strategy | None = None, lock_timeout: float = 60.0,
    takeover: bool = False, evaluate_at_end: bool = True,
    certify: bool | None = None, verbose: bool = True, **settings: Any,
) -> models.Flow:
  """Trains a flow on data, or continues the run in a folder.

  A finished run is loaded. With the same settings and seed it is the run of
  `tf_resflow train`, and prints what that does.

  Interrupted in a notebook or by Ctrl-C (SIGINT), it returns the flow of the
  best weights so far, and `flow.run.summary` says so; the run can be continued.

  The run ends with the best weights if it validates, as those on tables do
  (below 1,000 rows with those of as many steps on all rows, see `refit`), and
  otherwise with the averaged ones. They are evaluated on the test part, which
  was held out; a flow of a table is compared with mixtures of Gaussians.
  `flow.run`, a `Run`, has the result; so has report.json in the folder.

  Args:
    data: a pandas data frame; an array, vectors `[N, D]` or uint8 images
      `[N, H, W, 1 or 3]`; the path of a table, of an .npz file or of a folder
      of images; the name of a data set; a `datasets.DatasetInfo`; or a
      `configuration.Config`.
    workdir: folder of the run. By default it is a temporary one, which is kept
      as long as the flow lives: `flow.run.workdir`. Copy it to keep the run.
    condition_on: 'label', or columns, which a flow `p(x|c)` is given. One name
      or several, as the next two.
    columns, drop: use these columns of a table only; do not use these.
    missing: 'error', or 'drop' to leave out rows with an empty cell.
    column_types: such as `['income:real', 'age:integer']`; others are detected.
    test: the share of rows to test on, by default 0.2; or, of a frame or an
      array, another one to test on.
    test_rows: of a table, 'random', 'last', 'group:COLUMN', or 'none' for no
      test part.
    groups: column of a table, or an array beside a frame: rows of one value,
      such as a person, stay together, as by `test_rows='group:COLUMN'`.
    num_validation: number of training examples to validate on.
    sample_weight: column of a table, or an array beside a frame or an array:
      how often each row counts, relative to others, in losses, moments,
      figures and p-values. Then there is no comparison with mixtures.
    seed: of the run, by default 0.
    devices: strategy to train with, by default that of the configuration.
    lock_timeout, takeover: see `training.train`.
    evaluate_at_end: whether to evaluate.
    certify: compute guaranteed Lipschitz bounds; by default for vectors and
      small built-in data sets.
    verbose: whether to print the log of the package (unless the program shows
      it already), the progress and the report. Warnings are logged anyway.
    **settings: fields of the configuration, see `configuration.make_config`;
      for an array also the options of `datasets.array`. Other fields are those
      of the flagfile of the name of the data set if there is one, otherwise of
      `table` for vectors and of `images` for images.

  Returns:
    The flow.

  Raises:
    InvalidValueError: if the data, a setting or the folder is invalid; see
      `training.train` for the others.

  Example:
    >>> import pandas as pd
    >>> frame = pd.DataFrame(np.random.default_rng(0).normal(
    ...     size=[60, 2]), columns=['height', 'weight'])
    >>> flow = fit(frame, num_steps=2, num_blocks=1, verbose=False)
    >>> flow.run.report['num_examples'], flow.schema.names
    (12, ('height', 'weight'))
  """
  start = time.monotonic()
  given = {'missing': missing, 'test': test, 'test_rows': test_rows,
           'num_validation': num_validation, 'seed': seed, 'groups': groups,
           'sample_weight': sample_weight}
  lists = {'condition_on': condition_on, 'columns': columns, 'drop': drop,
           'column_types': column_types}
  settings |= {name: v for name, v in given.items() if v is not None} | {
      name: cells.as_names(v) for name, v in lists.items() if v is not None}
  with contextlib.ExitStack() as stack:
    warnings = stack.enter_context(errors.collected_warnings())
    gradients = stack.enter_context(private_apis.custom_gradients())
    prints = verbose and stack.enter_context(errors.printed_log())
    config = fit_config.config_of(data, settings, workdir)
    warnings += config.info.warnings if config.info else ()
    folder = os.fspath(workdir or tempfile.mkdtemp(prefix='tf_resflow_'))
    if workdir is None:
      undo = stack.enter_context(contextlib.ExitStack())
      undo.callback(shutil.rmtree, folder, ignore_errors=True)
    strategy = devices or training.make_strategy(config.run.strategy)
    flow = _run(
        config, folder, strategy, certify, functools.partial(
            _report, warnings=warnings, start=start, certify=certify,
            verbose=int(verbose)) if evaluate_at_end else None,
        lock_timeout=lock_timeout, takeover=takeover, verbose=verbose)
    if verbose and flow.run.report and strategies.is_chief(strategy):
      (print if prints else _logger.info)('\n'.join([
          flow.run.table, flow.run.summary,
          *(f'warning: {text}' for text in flow.run.warnings)]))
    if workdir is None:
      undo.pop_all()
      if not flow.run.is_interrupted:  # It can be continued.
        weakref.finalize(flow, shutil.rmtree, folder, ignore_errors=True)
  weakref.finalize(flow.bijection, private_apis.forget_gradients, gradients)
  return flow


def _run(config, folder, strategy, certify, report_fn, **options):
  """Returns the flow of a run that has finished, or trains it; see `fit`."""
  previous = files.check_run(folder, config)
  flow = None if previous is None else _finished(
      config.with_data_fields_of(previous), folder, strategy, certify)
  if flow is not None:
    if config.info:  # Of which nothing is in the configuration.
      flow.run.config.check_data(config.info)
    return flow
  config = training.workdir.check(folder, config).opened()
  errors.check(
      not report_fn or config.info.num_test != 0 or config.data.num_validation,
      'num_validation', 0, 'some', 'There is no other part to measure the flow.'
  )
  errors.check(
      not config.run.refit or config.info.num_test != 0, 'refit', 'true',
      problem='requires a test part', advice='Nothing else is held out then; '
      '--norefit leaves it out.')
  path = checkpoints.latest(folder)
  if config.run.refit and path and not checkpoints.has_optimizer(path):
    _logger.info('It begins with the weights of another flow, and is not '
                 'trained again on all rows.')
    config = dataclasses.replace(
        config, run=dataclasses.replace(config.run, refit=False))
  if previous is None:
    _log_types(config)
  try:
    flow, open_fn = trainings.trained(config, folder, strategy, **options)
    if report_fn:
      report_fn(flow, open_fn)
  except (KeyboardInterrupt, training.TrainingInterruptedError) as error:
    # A tool ends, as programs do by other signals than that of a keyboard.
    if (signals.active or getattr(error, 'number', signal.SIGINT) !=
        signal.SIGINT or not checkpoints.latest(folder)):
      raise
    flow = runs.load(folder, config=config, strategy=strategy)
    which = flow.run.weights
    if flow.run.is_refit:
      config = runs.refit_config(config, folder)
    else:
      kind = 'best' if config.run.keep_best else 'last'
      which += f', the {kind} one so far'
    flow.run = dataclasses.replace(
        flow.run, facts=runs.facts(config),
        summary=f'{runs.INTERRUPTED}: this is the flow {which}. '
        f'tf_resflow.evaluate(flow) gives its figure; '
        f'the same call with workdir={folder!r} continues.')
    _logger.warning('%s', flow.run.summary)
  return flow


def _finished(config, workdir, strategy, certify):
  """Returns the flow of a finished run with a report, or None.

  Its data are not opened.
  """
  folders = dict.fromkeys((workdir, runs.folder_of_training(workdir)))
  said = [training.workdir.finished(folder, config) for folder in folders]
  if not all(said):
    return None
  path = runs.refit_path(workdir, config)
  if config.run.refit and (not path or checkpoints.corruption(path)):
    return None
  flow = runs.load(workdir, config=config, strategy=strategy)
  if not flow.run.report or (
      certify and flow.certified_bijections
      and flow.run.report['lipschitz_bound_max'] is None):
    return None
  _logger.warning('%s', said[-1])
  return flow


def _log_types(config):
  """Says which types of columns a new run on a table has."""
  schema = getattr(config.model, 'schema', None)
  types = column_fits.described(schema) if schema else ''
  if types:
    _logger.info('Types of columns: %s. --column_types=NAME:TYPE changes them.',
                 types)


def _training_seconds(run):
  """Returns the time of a run's steps, of all processes that took some."""
  try:
    optimizer, curves = run.config.optimizer, run.curves
  except errors.InvalidValueError:  # A finished run whose file is damaged.
    return 0.0
  rates = curves.get(
      'examples_per_second', np.full_like(curves['step'], np.nan))
  is_rate = np.isfinite(rates)
  num_examples = np.diff(curves['step'][is_rate], prepend=0.0) * (
      optimizer.batch_size * optimizer.accumulation_steps)
  return float(np.sum(num_examples / rates[is_rate]))


def _report(flow, open_fn, warnings, start, **options):
  """Evaluates a flow on the test part; its run gets the result.

  Without one it is the validation part, for no comparison with others.
  """
  run, unit, weights = flow.run, flow.unit, flow.run.config.info.weights
  part = run.held_out
  _logger.info('Evaluating the weights of step %d on the %s set.', run.step,
               part)
  with strategies.naming_lost_peers(run.strategy):
    results = evaluating.evaluate(
        flow, part, seed=run.config.run.seed, open_fn=open_fn, **options)
    numbers = results.numbers
    summary = (
        f'{_CALLED[part]} {numbers[unit]:.3f} +- '
        f'{numbers[f"{unit}_stderr"]:.3f} {unit.replace("_per_", "/")} '
        f'({numbers["num_examples"]} {"weighted " if weights else ""}examples).'
    )
    if run.config.info.is_validated and part == 'test' and not weights:
      names = ['train', 'test']
      if run.num_validation > 1:
        names.append('validation')
      found = evaluation.comparison.compare_on_splits(
          flow, results.arrays[unit].mean(axis=0),
          {name: open_fn(name) for name in names},
          is_best=run.is_best, seed=run.config.run.seed,
          strategy=run.strategy,
          max_seconds=_SHARE_OF_TIME * max(
              _training_seconds(run), time.monotonic() - start))
      results, summary = results.extended(found.report()), found.summary
      warnings += found.warnings
  if run.chosen_step == 0 and run.config.optimizer.num_steps:
    summary += ' Step 0 is kept, as training has gained nothing' + (
        ': this is the mixture itself.' if flow.base.is_data_dependent else '.')
  flow.run = dataclasses.replace(
      run, report=results.report(), table=results.table(), summary=summary,
      warnings=tuple(dict.fromkeys(warnings)))
  if strategies.is_chief(run.strategy):
    if part == 'test':
      held_out.write(flow, open_fn, results.arrays['log_prob'])
    flow.run.save()
