"""The state of a run, and what changes it."""

from collections.abc import Iterator, Mapping
import logging

import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import invertible_matrix
from tf_resflow.training import checkpoints
from tf_resflow.training import ema as ema_lib
from tf_resflow.training import files
from tf_resflow.training import objectives
from tf_resflow.training import optimizers
from tf_resflow.training import step as step_lib
from tf_resflow.training import strategies

_logger = logging.getLogger(__name__)


class TrainingDivergedError(errors.ExpectedError):
  """A step cannot be gone on from; the last good state is saved."""


def distributed_batches(config: configuration.Config, split: datasets.Split,
                        strategy: tf.distribute.Strategy,
                        start_step: int) -> tf.distribute.DistributedDataset:
  """Returns the endless `objectives.Batch`es of a run, shared by the replicas.

  What step `t` gets follows from (seed, t) alone. With `accumulation_steps`
  parts, part `i` of the global batch is the union of the replicas' parts `i`,
  so that it does not depend on their number.

  Args:
    config: of the run.
    split: the training data.
    strategy: of the run.
    start_step: number of steps that are finished.
  """
  num_parts = config.optimizer.accumulation_steps
  num_replicas = strategy.num_replicas_in_sync

  def interleave(tensor):
    if num_parts == 1 or num_replicas == 1:
      return tensor
    shape = tensor.shape
    tensor = tf.reshape(tensor, [num_parts, num_replicas, -1, *shape[1:]])
    return tf.reshape(
        tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)]), shape)

  names = ['x', 'label', *['condition'] * split.is_conditional]
  dataset = datasets.training_batches(
      split, batch_size=config.optimizer.batch_size * num_parts,
      seed=config.run.seed, start_step=start_step, flip=config.data.flip,
      crop_padding=config.data.crop_padding, crop_mode=config.data.crop_mode)
  dataset = dataset.map(tf.autograph.experimental.do_not_convert(
      lambda examples: objectives.Batch(
          *(interleave(examples[name]) for name in names))))
  return strategy.experimental_distribute_dataset(dataset.prefetch(2))


class Learner:
  """A model in training on the devices of a strategy, and its step.

  Args:
    config: of the run.
    strategy: by default that of the configuration.

  Attributes:
    config: of the run.
    strategy: of the run.
    model: with the weights of the latest update.
    ema: their averages.
    optimizer: a Keras optimizer.
    objective: what is minimised.
    train_step: the `step.TrainStep` of a replica.

  Raises:
    InvalidValueError: if the replicas cannot share a batch.
  """

  def __init__(self, config: configuration.Config,
               strategy: tf.distribute.Strategy | None = None):
    self.config = config
    self.strategy = strategy or strategies.make_strategy(config.run.strategy)
    num_replicas = self.strategy.num_replicas_in_sync
    errors.check(config.optimizer.batch_size % num_replicas == 0, 'batch_size',
                 config.optimizer.batch_size,
                 f'a multiple of {num_replicas}, the number of replicas')
    with self.strategy.scope():
      self.model = config.model.build()
      self.optimizer = optimizers.make_optimizer(config.optimizer)
      with base_layer.variables_named('state'):
        self.optimizer.build(self.model.trainable_variables)
      self.ema = ema_lib.ExponentialMovingAverage(
          self.model, config.optimizer.ema_decay)
    self.objective = objectives.objective_of(
        self.model, config.objective.nll_weight_of(self.model.event_size),
        config.objective.objective)
    self.train_step = step_lib.TrainStep(
        self.model, self.optimizer, self.objective, self.ema,
        clip_norm=config.optimizer.clip_norm,
        accumulation_steps=config.optimizer.accumulation_steps,
        annealing_steps=config.objective.annealing_steps,
        order_gradient=config.objective.order_gradient,
        seed=config.run.seed, jit_compile=config.run.jit_compile)

  @property
  def biased_metrics(self) -> tuple[str, ...]:
    """The metrics that the model's own estimator of log-determinants biases.
    """
    return self.objective.density_metrics if self.model.is_biased else ()

  @property
  def state(self) -> dict[str, tf.Module]:
    """What a checkpoint holds beside the step."""
    return {'model': self.model, 'optimizer': self.optimizer, 'ema': self.ema}

  def initialize(self, batch: objectives.Batch) -> None:
    """Sets norms, ActNorms and averages, from the first batch.

    Args:
      batch: per replica.
    """
    # Before the first pass, which then needs no power iteration.
    self.model.save_norms()

    def run(batch):
      self.model.initialize(
          batch.x, batch.condition, seed=self.config.run.seed)

    # One replica is faster without a graph: every operation runs once.
    self.strategy.run(
        run if self.strategy.num_replicas_in_sync == 1 else
        tf.function(run, autograph=False), args=(batch,))
    self.ema.reset()

  @tf.function(autograph=False)
  def run_step(
      self, batch: objectives.Batch, step: tf.Tensor) -> objectives.Metrics:
    """Updates the model; see `TrainStep`, of whose batches this is the whole.
    """
    # Metrics are of the global batch, so every replica holds the same.
    return tf.nest.map_structure(
        lambda v: self.strategy.experimental_local_results(v)[0],
        self.strategy.run(self.train_step, args=(batch, step)))


class Trainer(Learner):
  """The state of a run and its transitions.

  Everything that a step depends on is a function of the configuration and of
  the checkpointed state (weights, optimizer, average, singular vectors, step):
  the data of step `t` follow from (seed, t). So a run that was killed and
  continued ends bit for bit where an undisturbed one does.

  Args:
    config: of the run.
    workdir: folder of the run, checked already; see `workdir.check`.
    strategy: by default that of the configuration.

  Attributes:
    best: the `checkpoints.BestCheckpoint`; None without `keep_best`.

  Raises:
    InvalidValueError: if the replicas cannot share a batch.
  """

  def __init__(self, config: configuration.Config, workdir: str,
               strategy: tf.distribute.Strategy | None = None):
    # First: missing data are noticed before a deep model is built.
    self._split = datasets.load_split(config.data, 'train')
    super().__init__(config, strategy)
    _logger.info('%s: %s examples train a flow with %s parameters.',
                 config.data.dataset, f'{self._split.num_examples:,}',
                 f'{self.model.num_parameters:,}')
    self.workdir = workdir
    with self.strategy.scope():
      self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
    state = {**self.state, 'step': self._step}
    self._manager = checkpoints.make_manager(
        tf.train.Checkpoint(**state), workdir, config.run.checkpoints_to_keep)
    self.best = checkpoints.BestCheckpoint(
        workdir, **state) if config.run.keep_best else None

  @property
  def step(self) -> int:
    """Number of finished updates."""
    return int(self._step.numpy())

  def restore_or_initialize(self) -> None:
    """Loads the latest checkpoint, else initialises from the first batch."""
    latest = checkpoints.latest(self.workdir)
    if latest is None:
      self.initialize(next(iter(distributed_batches(
          self.config, self._split, self.strategy, 0))))
      self.save()
      _logger.info('Initialised from the first batch.')
    elif checkpoints.restore(self._manager.checkpoint, latest):
      _logger.info('Restored step %d from %s.', self.step, latest)
    else:
      _logger.info(
          'Starting from the weights in %s, with a new optimizer.', latest)

  def save(self) -> str:
    """Writes a checkpoint of the present step, and returns its path.

    Raises:
      TrainingDivergedError: if a value is not finite; nothing is written then.
      OSError: if the checkpoint cannot be written.
    """
    self.check_finite()
    with files.writing(f'the checkpoint of step {self.step}'):
      return self._manager.save(checkpoint_number=self.step)

  def validation_loss(self, values: Mapping[str, float]) -> float:
    """Returns the loss that the metrics of a validation amount to.

    Args:
      values: with `validation_NAME` for the metrics of the objective.

    Raises:
      InvalidValueError: if one is missing.
    """
    try:
      return float(self.objective.loss_of(
          {name.removeprefix('validation_'): value
           for name, value in values.items()}, self.model.event_size))
    except KeyError as error:
      raise errors.InvalidValueError(
          'validation', ', '.join(values), f'also validation_{error.args[0]}',
          'keep_best goes by it.') from error

  def check_finite(self) -> None:
    """Raises `TrainingDivergedError` unless the state can be gone on from."""
    # An update can overflow although its loss and gradient are finite. Eager: a
    # graph of three operations a variable takes longer to trace.
    if not tf.reduce_all(tf.stack([
        tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(v)))
        for v in [*(v.value for v in self.model.variables),
                  *(v.value for v in self.optimizer.variables),
                  *self.ema.averages]
        if v.dtype.is_floating])):
      raise self.diverged_error(
          f'the weights are not finite after step {self.step}')
    try:
      self.model.bijection.check_weights()
    except errors.InvalidValueError as error:
      raise self.diverged_error(
          f'after step {self.step} there is no inverse: '
          f'{errors.sentence(error)[:-1]}') from error

  def diverged_error(self, reason: str) -> TrainingDivergedError:
    """Returns the error that says what to do."""
    return TrainingDivergedError(
        f'{reason}; stopped. The last good state is '
        f'{checkpoints.latest(self.workdir)}; running the same command again '
        'continues from it. A smaller --learning_rate, a longer '
        '--warmup_steps or a smaller --clip_norm in a new workdir usually '
        'help.')

  def steps(self) -> Iterator[tuple[int, objectives.Metrics]]:
    """Yields the step and its metrics, after every remaining update.

    Raises:
      TrainingDivergedError: if the weights have become too large for a norm, or
        a matrix has no inverse.
    """
    # The batches have no end.
    for step, batch in zip(
        range(self.step, self.config.optimizer.num_steps),
        distributed_batches(self.config, self._split, self.strategy, self.step),
        strict=False):
      try:
        metrics = self.run_step(batch, tf.constant(step, tf.int64))
      except tf.errors.InvalidArgumentError as error:
        # On CPUs the power iteration of a kernel that is not finite, or whose
        # square overflows, is an error.
        if 'Self-adjoint eigen decomposition was not' in str(error):
          reason = f'the weights have no finite norm after step {step + 1}'
        elif invertible_matrix.NEARLY_SINGULAR in str(error):
          reason = f'a matrix is nearly singular after step {step}'
        else:
          raise
        raise self.diverged_error(reason) from error
      self._step.assign(step + 1)
      yield step + 1, metrics

  def sample_images(
      self, model: models.Flow, num_samples: int = 64) -> np.ndarray:
    """Returns images in [0, 1], `[N, H, W, C]`, of a flow.

    With labels for conditions they take turns, image by image; other conditions
    are those of the first examples.
    """
    images = model.sample(
        num_samples, seed=self.config.run.seed,
        condition=datasets.split.some_conditions(self._split, num_samples))
    return np.clip(images.numpy(), 0.0, 1.0)
