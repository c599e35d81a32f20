"""A run as a value, and how its flow is loaded."""

from collections.abc import Iterable, Mapping
import dataclasses
import functools
import json
import os
from typing import Any, Self

import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import conversion
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import training
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.training import best_checkpoint
from tf_resflow.training import checkpoints
from tf_resflow.training import files
from tf_resflow.workflow import presets

REPORT = 'report.json'
# How the summary of a run begins that was interrupted.
INTERRUPTED = 'Interrupted'
# Folder in that of a run with `base=auto`: the run that began as a mixture.
_MIXTURE_BASE = 'mixture_base'
# Folder in that of a run with `refit`: of all rows, and the steps to take.
_REFIT = 'refit-{}'
# Most columns that are named.
_MAX_NAMED = 8


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Run:
  """The run that a flow comes from: `flow.run`.

  Attributes:
    config: its configuration.
    workdir: its folder.
    step: number of updates of the weights of the flow.
    report: results of the evaluation on the test part at the end of training,
      by the keys of `tf_resflow train`; empty if there was none, or if it was
      one of other weights.
    summary: the report in a sentence.
    warnings: sentences that training and this evaluation have logged.
    facts: name of the data, numbers of examples, columns.
    table: the report as text, with the bounds of all blocks.
    strategy: in whose scope the flow was made; its devices share evaluations.
    is_refit: whether its flow was trained again, on the validation rows, too.
  """

  config: configuration.Config
  workdir: str
  step: int
  report: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  summary: str = ''
  warnings: tuple[str, ...] = ()
  facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  table: str = dataclasses.field(default='', repr=False)
  strategy: Any = dataclasses.field(default=None, repr=False)
  is_refit: bool = False

  @functools.cached_property
  def curves(self) -> dict[str, np.ndarray]:
    """The columns of `metrics.csv`, see `training.read_metrics`."""
    return training.read_metrics(folder_of_training(self.workdir))

  @property
  def is_best(self) -> bool:
    """Whether validation has chosen the number of steps of its weights."""
    return self.is_refit or bool(self.config.run.keep_best)

  @property
  def num_validation(self) -> int:
    """Number of examples that its flow was validated on."""
    return 0 if self.is_refit else self.config.data.num_validation

  @property
  def chosen_step(self) -> int | None:
    """The step that validation has chosen; None if it chose none."""
    return (_best_step(folder_of_training(self.workdir)) if self.is_best
            else None)

  def known_rows(self) -> np.ndarray | None:
    """Returns what `training.train_rows.read` finds of the rows of its flow."""
    return training.train_rows.read(
        refit_folder(self.workdir) if self.is_refit else self.workdir)

  @property
  def is_interrupted(self) -> bool:
    """Whether its flow is what there was when `fit` was interrupted."""
    return self.summary.startswith(INTERRUPTED)

  def described(self, flow: models.Flow) -> dict[str, str]:
    """Returns what its flow is, was trained on and has reached, in words."""
    names, given = flow.schema.names, ', '.join(self.config.data.condition_on)
    event = ', '.join(names[:_MAX_NAMED]) + ', ...' * (
        len(names) > _MAX_NAMED) if flow.schema.is_named else ' x '.join(
            map(str, flow.event_shape))
    counts = ', '.join(
        f'{self.facts[name]:,} {what}' for name, what in (
            ('num_train', 'examples'), ('num_validation', 'to validate'),
            ('num_test', 'to test')) if self.facts.get(name))
    return {
        type(flow).__name__: event + f' given {given}' * bool(given) + (
            f'; {flow.num_parameters:,} parameters'),
        'trained on': ': '.join(filter(
            None, (self.config.data.dataset, counts))),
        'weights': self.weights,
        'reached': self.summary or 'not evaluated; see tf_resflow.evaluate',
        'folder': self.workdir}

  @property
  def weights(self) -> str:
    """Which weights its flow has, in words."""
    return f'of step {self.step:,}' + (
        ', of a training on all rows' if self.is_refit else
        f' of {self.config.optimizer.num_steps:,}')

  @property
  def is_converted(self) -> bool:
    """Whether the weights are those of a checkpoint of the authors."""
    return conversion.converter.is_converted(self.workdir)

  def should_certify(self, certify: bool | None = None) -> bool:
    """Returns `certify`, or by default whether certificates take seconds.

    They do for vectors and small built-in data sets.
    """
    if certify is not None:
      return certify
    # User images may be gone, and their size says nothing.
    name = self.config.data.dataset
    return datasets.info(name).is_embedded if name in datasets.names() else (
        not self.config.model.is_image)

  def open(self, part: str, data_dir: str | os.PathLike | None = None,
           **counts: int | None) -> datasets.Split:
    """Opens a part of the data; refuses data that have changed.

    Args:
      part: 'train', 'validation' or 'test'.
      data_dir: in place of that of the run.
      **counts: numbers of examples that are to be used, by name.

    Raises:
      InvalidValueError: if the data are others or gone, or too few.
    """
    errors.check(
        not self.is_refit or part != 'validation', 'split', part,
        problem='has rows that the flow was trained on at the end (--refit)',
        advice='With --checkpoint=best it is the flow that they chose.')
    split = self._opened.open_split(part, data_dir)
    check_counts(split, f'the {part} split', **counts)
    return split

  @property
  def held_out(self) -> str:
    """The part that its figure is of: 'test', or without one 'validation'."""
    return 'validation' if self._opened.info.num_test == 0 else 'test'

  def index(self, part: str) -> Any:
    """Returns the index of the rows of a part in a table, or None."""
    index = getattr(self._opened.info, 'index', {}).get(
        'test' if part == 'test' else 'train')
    if index is None or part == 'test':
      return index
    size = len(index) - self.num_validation
    return index[:size] if part == 'train' else index[size:]

  @functools.cached_property
  def _opened(self):
    name = self.config.data.dataset
    errors.check(
        self.config.info or name in registries.DATASETS, 'dataset', name,
        problem='is not known: the run has not kept the frame or array that '
        'was handed to fit', advice='Use the flow that fit returned; a data '
        'set of your own needs its --import.')
    return (refit_config(self.config, self.workdir) if self.is_refit else
            self.config).opened()

  def save(self) -> None:
    """Writes the report of the run into its folder."""
    files.write_text(os.path.join(self.workdir, REPORT), json.dumps({
        name: getattr(self, name) for name in (*_STORED, 'is_refit')
    }, indent=1) + '\n')

  def with_report(self) -> Self:
    """Returns the run with the report in its folder, if it is of these weights.
    """
    path = os.path.join(self.workdir, REPORT)
    try:
      with open(path, encoding='utf-8') as file:
        stored = json.load(file)
      found = {name: stored[name] for name in _STORED}
      found['warnings'] = tuple(found['warnings'])
      is_own = (found['report']['step'], stored.get('is_refit', False)) == (
          self.step, self.is_refit)
    except (OSError, ValueError, KeyError, TypeError):
      return self  # It can be made again.
    return dataclasses.replace(self, **found) if is_own else self


_STORED = ('report', 'summary', 'warnings', 'facts', 'table')


def check_counts(
    split: datasets.Split, where: str, **counts: int | None) -> None:
  """Raises `InvalidValueError` if there are fewer examples than one asks for.
  """
  for name, count in counts.items():
    errors.check(
        (count or 0) <= split.num_examples, name, count,
        f'at most {split.num_examples}', f'That many examples are in {where}.')


def header(
    flow: models.Flow, settings: evaluation.EvaluationSettings,
) -> dict[str, Any]:
  """Returns what every report begins with: weights, devices, estimator."""
  devices = settings.strategy
  return {
      **({} if flow.run is None else {'step': flow.run.step}),
      'num_devices': devices.num_replicas_in_sync if devices else 1,
      'estimator': str(settings.estimator), 'dtype': flow.compute_dtype}


def of(flow: models.Flow, what: str) -> Run:
  """Returns the run of a flow, or raises `InvalidValueError`."""
  errors.check(
      flow.run is not None, 'flow', flow.name,
      problem=f'has no run, of which {what}',
      advice='Take a flow of tf_resflow.fit or tf_resflow.load.')
  return flow.run


def facts(config: configuration.Config) -> dict[str, Any]:
  """Returns what a report says of the data, which are opened."""
  info: Any = config.info
  schema = getattr(config.model, 'schema', None)
  num_validation = config.data.num_validation
  return {
      'dataset': config.data.dataset, 'event_shape': list(info.event_shape),
      'num_train': info.num_train and info.num_train - num_validation,
      'num_validation': num_validation, 'num_test': info.num_test,
      'columns': [*schema.names] if schema else [],
      'column_types': [c.type for c in schema.modelled] if schema else [],
      'condition': [*config.data.condition_on], 'test_rows': info.test_rows}


def mixture_folder(workdir: str) -> str:
  """Returns where a run with `base=auto` goes on if a mixture is better."""
  return os.path.join(workdir, _MIXTURE_BASE)


def folder_of_training(workdir: str) -> str:
  """Returns that folder if such a run has begun, otherwise `workdir`."""
  folder = mixture_folder(workdir)
  return folder if checkpoints.latest(folder) else workdir


def refit_folder(workdir: str) -> str:
  """Returns where the flow of the best step is trained on all rows."""
  folder = folder_of_training(workdir)
  return os.path.join(folder, _REFIT.format(_best_step(folder)))


def refit_path(workdir: str, config: configuration.Config) -> str:
  """Returns the checkpoint that a run with `refit` ends with, if it is there.
  """
  if not config.run.refit:
    return ''
  step = _best_step(folder_of_training(workdir))
  path = None if step is None else checkpoints.latest(refit_folder(workdir))
  return path if path and path.endswith(f'-{step}') else ''


def refit_config(
    config: configuration.Config, workdir: str) -> configuration.Config:
  """Returns the configuration of that training.

  It has the steps that validation has chosen, of the schedule and the noise of
  the run, and all rows; types and moments of columns stay as they are.
  """
  model, optimizer, folder = (
      config.model, config.optimizer, folder_of_training(workdir))
  if hasattr(model, 'base'):
    model = dataclasses.replace(
        model, base=model.first_base if folder == workdir else 'mixture')
  return dataclasses.replace(
      config, model=model,
      data=dataclasses.replace(config.data, num_validation=0),
      run=dataclasses.replace(config.run, evaluate_every=0, keep_best=False,
                              patience=0, refit=False),
      optimizer=dataclasses.replace(
          optimizer, num_steps=max(_best_step(folder) or 0, 1),
          decay_steps=optimizer.num_decay_steps * (not optimizer.is_endless)))


def _best_step(folder):
  path = best_checkpoint.best(folder)
  return None if path is None else int(path.rpartition('-')[2])


def load(
    workdir: str | os.PathLike, imports: Iterable[str] = (), *,
    config: configuration.Config | None = None,
    strategy: tf.distribute.Strategy | None = None, averaged: bool = True,
    **options: Any) -> models.Flow:
  """Loads the trained flow of a run.

  Use its `log_prob`, `sample`, `bijector()` and `distribution()`; the training
  data are not required. Log-determinants use `Flow.evaluation_estimator`: exact
  up to 64 dimensions; otherwise unbiased random estimates, reproducible by
  `seed=`, with the standard error `log_prob_stderr` of
  `evaluation.evaluate_inputs(flow, x)`. Training by `objectives` still uses the
  estimators of the blocks, like `log_prob(x, estimator='training')`.

  Args:
    workdir: folder of the run; or `preset:NAME`, one of those that come with
      the package: `preset:digits`, `moons`, `rings` and `cancer`.
    imports: modules with types of the run, those of `--import`. A run is not
      trusted to name them itself, since to import a module runs its code: those
      in its run.flags must stand here, or be imported already.
    config: the configuration of the run, if it has been read.
    strategy: in whose scope the flow is made, see `Run`.
    averaged: whether to use the averaged weights (EMA), as in evaluation.
    **options: `dtype` and `checkpoint`, see `training.workdir.restore_model`.

  Returns:
    The flow, with its `Run` as `run`.

  Raises:
    InvalidValueError: see `training.workdir.restore_model`, and if `imports`
      lacks a module.

  Example:
    >>> config = configuration.make_config(dataset='2d/moons', num_blocks=1)
    >>> training.workdir.create_workdir('moons', config, config.model.build())
    >>> flow = load('moons')
    >>> flow.sample(4, seed=0).shape, flow.run.step
    (TensorShape([4, 2]), 0)
  """
  workdir = presets.folder_of(workdir)
  config = config or files.load_config(workdir, imports)
  refit = refit_path(workdir, config) if options.get(
      'checkpoint', fields.AUTO) == fields.AUTO else ''
  folder = refit_folder(workdir) if refit else folder_of_training(workdir)
  with (strategy or tf.distribute.get_strategy()).scope():
    model, step = training.workdir.restore_model(
        folder, averaged=averaged, **options)
  errors.check(
      not refit or refit.endswith(f'-{step}'), 'file', refit,
      'undamaged files', 'The command that trained the run makes it again; '
      'checkpoint=best has the flow that validation chose.')
  run = Run(config=config, workdir=workdir, step=step, strategy=strategy,
            is_refit=bool(refit))
  model.run = run.with_report() if averaged else run
  return model
