"""A run: a learner with its data and checkpoints."""

from collections.abc import Callable, Iterator, Mapping
import hashlib
import logging
import os

import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.layers.bijections import invertible_matrix
from tf_resflow.models import objectives
from tf_resflow.training import best_checkpoint
from tf_resflow.training import checkpoints
from tf_resflow.training import learner as learner_lib
from tf_resflow.training import signals
from tf_resflow.training import strategies
from tf_resflow.training import workdir as workdir_lib

_logger = logging.getLogger(__name__)


class TrainingDivergedError(errors.ExpectedError):
  """Training diverged; the last finite state is saved."""


class Trainer(learner_lib.Learner):
  """A `learner.Learner` with training data and checkpoints.

  A step depends only on the configuration and the checkpointed state (weights,
  optimizer, averages, singular vectors, step): the data of step `t` follow from
  (seed, t). So an interrupted and continued run is bit for bit equal to an
  uninterrupted one.

  Args:
    config: see `learner.Learner`.
    workdir: folder of the run, already checked; see `workdir.check`.
    strategy: see `learner.Learner`.
    split: the training part of the data; by default it is opened.
    check_fn: called before something is written to the folder; raises an error
      if another process has taken over the run.

  Attributes:
    best: the `best_checkpoint.BestCheckpoint`; None without `keep_best`.
    is_chief: whether this process writes the files of the run, of several.
    split: the training part of the data.
    callbacks_done: whether the callbacks of this step were called to their end;
      in a checkpoint, whether they were when it was saved.

  Raises:
    InvalidValueError: see `learner.Learner`; if all checkpoints are damaged.
  """

  def __init__(self, config: configuration.Config, workdir: str,
               strategy: tf.distribute.Strategy | None = None,
               check_fn: Callable[[], object] = bool,
               split: datasets.Split | None = None):
    # First, so that what is missing raises before a deep model is built.
    strategy = strategy or strategies.make_strategy(config.run.strategy)
    self.is_chief = strategies.is_chief(strategy)
    if self.is_chief:
      check_fn()
      checkpoints.latest_readable(workdir, quarantines=True)
    config = config.opened()
    self.split = split or config.open_split('train')
    super().__init__(config, strategy)
    _logger.info('%s: %s training examples; flow with %s parameters.',
                 config.data.dataset, f'{self.split.num_examples:,}',
                 f'{self.model.num_parameters:,}')
    self.workdir, self._check_fn = workdir, check_fn
    with self.strategy.scope():
      self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
      # Files of former versions lack it; they were written after all tasks.
      self._callbacks_done = tf.Variable(True, trainable=False)
    state = {**self.state, 'step': self._step,
             **checkpoints.config_of(self.model)}
    if not self.is_chief:  # After the chief has looked at it.
      strategies.gather(strategy, 0)
    self.best = None
    if config.run.keep_best:
      self.best = best_checkpoint.BestCheckpoint(
          workdir, int(config.run.patience), self.is_chief, check_fn, **state)
      state['best'] = self.best
    self._checkpoint = tf.train.Checkpoint(
        callbacks_done=self._callbacks_done, **state)
    checkpoints.check_tracked(self._checkpoint)
    if self.is_chief:
      strategies.gather(strategy, 0)

  @property
  def step(self) -> int:
    """Number of finished updates."""
    return int(self._step.numpy())

  @property
  def is_finished(self) -> bool:
    """Whether all updates are done, or validation has stopped the run."""
    return workdir_lib.is_finished(self.config, self.step, self.best)

  def restore_or_initialize(self) -> None:
    """Restores the latest checkpoint, or initialises from a batch.

    Of several processes the chief says which one is the latest.
    """
    latest = checkpoints.latest(self.workdir) if self.is_chief else None
    step, *_ = strategies.gather(self.strategy, -1 if latest is None else int(
        latest.rpartition('-')[2]))
    if step < 0:
      self.initialize_by(self.split)
      self.callbacks_done = False
      self.save()
      _logger.info('Initialised from the first batch.')
      return
    latest = os.path.join(self.workdir, 'checkpoints', f'ckpt-{step}')
    if checkpoints.restore(self._checkpoint, latest):
      _logger.info('Restored step %d from %s.', self.step, latest)
    else:
      _logger.info(
          'Starting from the weights in %s, with a new optimizer.', latest)
    self.callbacks_done = step > 0 and bool(self._callbacks_done.numpy())

  def save(self) -> None:
    """Writes a checkpoint of the current step.

    Of several processes the chief does, if all have the same state.

    Raises:
      TrainingDivergedError: if a value is not finite; then nothing is written.
      errors.ExpectedError: if the states of processes differ.
      OSError: if the checkpoint cannot be written.
    """
    self.check_finite()
    self._check_fn()
    self._check_equal()
    self._callbacks_done.assign(self.callbacks_done)
    if self.is_chief:
      checkpoints.save(
          self._checkpoint, os.path.join(self.workdir, 'checkpoints'),
          self.step, self.config.run.checkpoints_to_keep, self._check_fn)

  def _state_variables(self):
    """Returns all variables that steps change."""
    return [*(v.value for v in self.model.variables),
            *(v.value for v in self.optimizer.variables), *self.ema.averages]

  def _check_equal(self):
    """Checks that all processes have the same state, in every bit."""
    if strategies.num_workers(self.strategy) == 1:
      return
    digest = hashlib.blake2b(digest_size=7)
    for variable in self._state_variables():
      digest.update(variable.numpy().tobytes())
    digests = strategies.gather(
        self.strategy, int.from_bytes(digest.digest(), 'little'))
    different = [i for i, d in enumerate(digests) if d != digests[0]]
    if different:
      raise errors.ExpectedError(
          f'after step {self.step} the weights of process {different[0]} are '
          'not those of process 0; training stopped. Start again from the '
          'latest checkpoint, and look for differences of the machines.')

  def validation_loss(self, values: Mapping[str, float]) -> float:
    """Returns the loss from the metrics of a validation.

    It follows from `validation_NAME` for each metric of the objective. If one
    is missing, as for an objective of one's own, the loss is the mean of
    -log p(x), `validation_UNIT` with the unit of the model.

    Raises:
      InvalidValueError: if that is missing, too.
    """
    found = {name.removeprefix('validation_'): value
             for name, value in values.items()}
    try:
      return float(self.objective.loss_of(found, self.model.event_size))
    except KeyError as error:
      errors.check(
          self.model.unit in found, 'validation', ', '.join(values),
          f'also validation_{error.args[0]}', 'keep_best requires it.')
    return float(found[self.model.unit])

  def check_finite(self) -> None:
    """Raises `TrainingDivergedError` if weights or state are not finite."""
    # An update can overflow with a finite loss and gradient. This is faster
    # eagerly than tracing three operations per variable.
    if not tf.reduce_all(tf.stack([
        tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(v)))
        for v in self._state_variables() if v.dtype.is_floating])):
      raise self.diverged_error(
          f'the weights are not finite after step {self.step}')
    try:
      self.model.bijection.check_weights()
    except errors.InvalidValueError as error:
      raise self.diverged_error(
          f'the flow is not invertible after step {self.step}: '
          f'{errors.sentence(error)[:-1]}') from error

  def diverged_error(
      self, reason: str, step: int | None = None) -> TrainingDivergedError:
    """Returns an error, at a `step` one that is due to its batch."""
    what = 'ends there again' if step is None else (
        'meets this batch again, which --skip_nonfinite='
        f'{1 + self.config.optimizer.skip_nonfinite} passes over')
    return TrainingDivergedError(
        f'{reason}; training stopped. The last finite state is '
        f'{checkpoints.latest(self.workdir)}; the same command {what}. A lower '
        '--learning_rate, more --warmup_steps or a lower --clip_norm in a new '
        'workdir usually help.')

  def steps(self, stop: signals.RunStop | None = None,
            ) -> Iterator[objectives.Metrics]:
    """Yields the metrics of each remaining update, after it.

    A `stop` of several processes learns after every step whether one of them
    was asked to stop before the step before.

    Raises:
      TrainingDivergedError: if a norm of the weights is not finite, or a matrix
        is singular.
    """
    requests: list[tf.Tensor] = []
    shared = stop if stop and stop.is_shared else None
    # The batches are endless.
    for step, batch in zip(
        range(self.step, self.config.optimizer.num_steps),
        strategies.distributed_batches(
            self.config, self.split, self.strategy, self.step),
        strict=False):
      # TensorFlow keeps a tensor of every Python number, not of arrays.
      arguments = [tf.constant(np.array(step))]
      if shared:
        arguments.append(tf.constant(np.float32(shared.request)))
      try:
        metrics = dict(self.run_step(batch, *arguments))
      except tf.errors.InvalidArgumentError as error:
        for text, reason in (
            # On CPUs the power iteration of a kernel raises an error if the
            # kernel is not finite or its square overflows.
            ('Self-adjoint eigen decomposition was not',
             f'a norm of the weights is not finite after step {step + 1}'),
            ('It did not converge for',
             f'a solve of a forward pass failed after step {step}'),
            (invertible_matrix.NUMERICALLY_SINGULAR,
             f'a matrix is numerically singular after step {step}')):
          if text in str(error):
            raise self.diverged_error(reason) from error
        raise
      self._step.assign(np.array(step + 1))
      self.callbacks_done = False
      if shared:
        requests.append(metrics.pop('stop'))
        if len(requests) > 1:  # The step before, for which nothing waits.
          shared.merge_requests([requests.pop(0).numpy()])
      yield metrics

  def sample_images(
      self, model: models.Flow, num_samples: int = 64) -> np.ndarray:
    """Draws images in [0, 1], `[N, H, W, C]`, from an image flow.

    Conditional flows cycle through the labels, or use the conditions of the
    first training examples.
    """
    images = model.sample(
        num_samples, seed=self.config.run.seed,
        condition=datasets.split.some_conditions(self.split, num_samples))
    return np.clip(images.numpy(), 0.0, 1.0)
