"""The training loop: data, steps, checkpoints, logs and samples."""

import logging
import signal
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow.training import ema as ema_lib
from tf_resflow.training import metrics
from tf_resflow.training import optimizers
from tf_resflow.training import step as step_lib
from tf_resflow.training import workdir as workdir_lib

_NUM_SAMPLES = 64

_logger = logging.getLogger(__name__)
_EIGENVALUES_FAILED = 'Self-adjoint eigen decomposition was not successful'


class TrainingDivergedError(RuntimeError):
  """The loss or its gradient is not finite; the last good state is saved."""


class TrainingInterruptedError(RuntimeError):
  """A signal ended the run; its state is saved."""


def make_strategy(name):
  """Returns the `tf.distribute.Strategy` that a flag names.

  Args:
    name: 'single' (one device), 'mirrored' (all GPUs, else all logical CPUs)
      or 'auto' (mirrored where there are several GPUs).
  """
  devices = (tf.config.list_logical_devices('GPU') or
             tf.config.list_logical_devices('CPU'))
  if name == 'mirrored' or (
      name == 'auto' and len(devices) > 1 and devices[0].device_type == 'GPU'):
    return tf.distribute.MirroredStrategy([d.name for d in devices])
  return tf.distribute.OneDeviceStrategy(devices[0].name)


def initialize(model, strategy, images):
  """Sets ActNorms from a batch.

  Args:
    model: a `models.ResidualFlow`.
    strategy: the `tf.distribute.Strategy` whose scope made it.
    images: the batch `[B, H, W, C]`, per replica.
  """
  function = model.initialize
  if strategy.num_replicas_in_sync > 1:
    # One replica is faster without: every operation runs once.
    function = tf.function(function, autograph=False)
  strategy.run(function, args=(images,))


class Trainer:
  """The state of a run and its transitions.

  Everything that a step depends on is a function of the configuration and of
  the checkpointed state (weights, optimizer, average, singular vectors, step):
  the data of step `t` follow from (seed, t). So a run that was killed and
  continued ends bit for bit where an undisturbed one does.

  Args:
    config: a `configuration.Config`.
    workdir: folder of the run, prepared already.
    strategy: a `tf.distribute.Strategy`; by default that of the configuration.
  """

  def __init__(self, config, workdir, strategy=None):
    self.config = config
    self.workdir = workdir
    self.strategy = strategy or make_strategy(config.run.strategy)
    num_replicas = self.strategy.num_replicas_in_sync
    if config.optimizer.batch_size % num_replicas:
      raise ValueError(
          f'batch_size is {config.optimizer.batch_size}, which {num_replicas} '
          'replicas cannot share equally; choose a multiple.')
    self._split = datasets.load_split(config.data, 'train')
    with self.strategy.scope():
      self.model = config.model.build()
      self.optimizer = optimizers.make_optimizer(config.optimizer)
      self.optimizer.build(self.model.trainable_variables)
      self.ema = ema_lib.ExponentialMovingAverage(
          self.model, config.optimizer.ema_decay)
      self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
    self._manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(
            model=self.model, optimizer=self.optimizer, ema=self.ema,
            step=self._step),
        workdir_lib.checkpoint_dir(workdir),
        max_to_keep=config.run.checkpoints_to_keep)
    self._train_step = step_lib.TrainStep(
        self.model, self.optimizer, self.ema,
        clip_norm=config.optimizer.clip_norm,
        accumulation_steps=config.optimizer.accumulation_steps,
        seed=config.run.seed, jit_compile=config.run.jit_compile,
        nll_weight=config.objective.nll_weight)

  @property
  def step(self):
    """Number of finished updates."""
    return int(self._step.numpy())

  def restore_or_initialize(self):
    """Loads the latest checkpoint, else initialises from the first batch."""
    latest = workdir_lib.latest_checkpoint(self.workdir)
    if latest:
      if workdir_lib.restore_run(self._manager.checkpoint, latest):
        _logger.info('Restored step %d from %s.', self.step, latest)
      else:
        _logger.info(
            'Starting from the weights in %s, with a new optimizer.', latest)
      return
    # Before the first pass, which then needs no power iteration.
    self.model.save_singular_vectors()
    images, _ = next(iter(self._batches(0)))
    initialize(self.model, self.strategy, images)
    self.ema.reset()
    self.save()
    _logger.info('Initialised from the first batch.')

  def _batches(self, start_step):
    """Returns images and labels per replica from step `start_step` on."""
    config = self.config
    num_parts = config.optimizer.accumulation_steps
    dataset = datasets.training_batches(
        self._split, batch_size=config.optimizer.batch_size * num_parts,
        seed=config.run.seed, start_step=start_step, flip=config.data.flip)

    num_replicas = self.strategy.num_replicas_in_sync

    def interleave(tensor):
      """Orders examples such that replicas share every part of the batch."""
      if num_parts == 1 or num_replicas == 1:
        return tensor
      shape = tensor.shape
      tensor = tf.reshape(tensor, [num_parts, num_replicas, -1, *shape[1:]])
      return tf.reshape(
          tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)]), shape)

    def arrange(batch):
      return interleave(batch['image']), interleave(batch['label'])

    dataset = dataset.map(arrange).prefetch(2)
    return self.strategy.experimental_distribute_dataset(dataset)

  def save(self):
    """Writes a checkpoint of the present step.

    Raises:
      TrainingDivergedError: if a value is not finite; nothing is written then.
    """
    self.check_finite()
    return self._manager.save(checkpoint_number=self.step)

  @property
  def last_checkpoint(self):
    """Path of the latest checkpoint."""
    return workdir_lib.latest_checkpoint(self.workdir)

  def check_finite(self):
    """Raises `TrainingDivergedError` unless the state is finite."""
    # An update can overflow although its loss and gradient are finite.
    if not self._is_finite():
      raise self.diverged_error(
          f'the weights are not finite after step {self.step}')

  @tf.function(autograph=False)
  def _is_finite(self):
    variables = [*self.model.variables, *self.optimizer.variables]
    return tf.reduce_all(tf.stack([
        tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(v)))
        for v in [*(v.value for v in variables), *self.ema.averages]
        if v.dtype.is_floating]))

  def diverged_error(self, reason):
    """Returns the `TrainingDivergedError` that says what to do."""
    return TrainingDivergedError(
        f'{reason}; stopped. The last good state is {self.last_checkpoint}; '
        'running the same command again continues from it. A smaller '
        '--learning_rate, a longer --warmup_steps or a smaller --clip_norm in '
        'a new workdir usually help.')

  @tf.function(autograph=False)
  def _run_step(self, batch, step):
    images, labels = batch
    per_replica = self.strategy.run(
        self._train_step, args=(images, step, labels))
    # Metrics are of the global batch, so every replica holds the same.
    return tf.nest.map_structure(
        lambda v: self.strategy.experimental_local_results(v)[0], per_replica)

  def steps(self):
    """Yields `(step, StepMetrics)` after every remaining update."""
    iterator = iter(self._batches(self.step))
    while self.step < self.config.optimizer.num_steps:
      step = self.step
      try:
        result = self._run_step(next(iterator), tf.constant(step, tf.int64))
      except tf.errors.InvalidArgumentError as error:
        # On CPUs the power iteration of a kernel that is not finite, or whose
        # square overflows, is an error.
        if _EIGENVALUES_FAILED not in str(error):
          raise
        raise self.diverged_error(
            f'the weights have no finite norm after step {step + 1}'
        ) from error
      self._step.assign(step + 1)
      yield step + 1, result

  def sample(self, num_samples=_NUM_SAMPLES):
    """Returns images in [0, 1] drawn with the averaged weights."""
    with self.ema.swapped():
      images = self.model.sample(num_samples, seed=self.config.run.seed)
    return np.clip(images.numpy(), 0.0, 1.0)


def _progress_bar(num_steps):
  """A Keras progress bar; few lines where the output is not a terminal."""
  return keras.utils.Progbar(
      num_steps, width=20, unit_name='step',
      interval=0.5 if sys.stdout.isatty() else 30.0,
      stateful_metrics=['bits/dim', 'images/s'])


class _StopOnSignal:
  """Turns SIGTERM and SIGINT into a request to stop after the step."""

  def __enter__(self):
    self.received = None
    self._previous = {}
    for number in (signal.SIGTERM, signal.SIGINT):
      try:
        self._previous[number] = signal.signal(number, self._receive)
      except ValueError:  # Not in the main thread: signals go elsewhere.
        pass
    return self

  def _receive(self, number, unused_frame):
    self.received = signal.Signals(number).name

  def __exit__(self, *unused_error):
    for number, handler in self._previous.items():
      signal.signal(number, handler)


def train(config, workdir, evaluate_fn=None, save_images_fn=None,
          strategy=None):
  """Trains a flow, or continues the run in `workdir`.

  Args:
    config: a `configuration.Config`.
    workdir: folder of the run.
    evaluate_fn: called as `evaluate_fn(model)` with averaged weights every
      `evaluate_every` steps; returns a dict of scalars to log.
    save_images_fn: called as `save_images_fn(path, images)` for sample grids.
    strategy: a `tf.distribute.Strategy`, by default that of the configuration.

  Returns:
    The `Trainer` after the last step.

  Raises:
    ValueError: on a configuration or a workdir that does not fit.
    TrainingDivergedError: when the loss or its gradient is not finite.
    TrainingInterruptedError: after SIGTERM or SIGINT, with the state saved.
  """
  workdir_lib.check(workdir, config)
  trainer = Trainer(config, workdir, strategy)  # Checks data and batch as well.
  workdir_lib.prepare(workdir, config)
  trainer.restore_or_initialize()
  if trainer.step >= config.optimizer.num_steps:
    _logger.warning(
        'The run has finished %d of %d steps: nothing is trained. Raise '
        '--num_steps to continue it.', trainer.step,
        config.optimizer.num_steps)
    return trainer
  with metrics.MetricsWriter(
      workdir, start_step=trainer.step,
      save_images_fn=save_images_fn) as writer, _StopOnSignal() as signals:
    _run(trainer, writer, signals, evaluate_fn)
  return trainer


def _run(trainer, writer, signals, evaluate_fn):
  """Runs the remaining steps; see `train`."""
  config = trainer.config
  start_step = trainer.step
  bar = _progress_bar(config.optimizer.num_steps - start_step)
  images_per_step = (
      config.optimizer.batch_size * config.optimizer.accumulation_steps)
  window, window_start = [], time.perf_counter()
  for step, result in trainer.steps():
    window.append(result)
    is_last = step == config.optimizer.num_steps
    is_log = step % config.run.log_every == 0
    is_save = step % config.run.checkpoint_every == 0
    if is_log or is_save or is_last or signals.received:
      values = _summarize(window, step)
      elapsed = time.perf_counter() - window_start
      values['images_per_second'] = len(window) * images_per_step / elapsed
      _check_finite(values, trainer, step)
      values['learning_rate'] = float(trainer.optimizer.learning_rate)
      writer.write(step, values)
      bar.update(step - start_step, [
          ('bits/dim', values['bits_per_dim']),
          ('images/s', values['images_per_second'])], finalize=is_last)
      window = []
    is_evaluation = config.run.evaluate_every and (
        step % config.run.evaluate_every == 0) and evaluate_fn is not None
    is_sample = config.run.sample_every and (
        step % config.run.sample_every == 0 or is_last)
    if is_evaluation or is_sample:
      trainer.check_finite()
    if is_evaluation:
      with trainer.ema.swapped():
        writer.write(step, evaluate_fn(trainer.model))
    if is_sample:
      _write_samples(trainer, writer, step)
    if is_save or is_last or signals.received:
      writer.flush()
      trainer.save()
    if not window:
      window_start = time.perf_counter()
    if signals.received:
      raise TrainingInterruptedError(
          f'{signals.received} after step {step}: its state is saved; run the '
          'same command again to continue.')


def _write_samples(trainer, writer, step):
  """Writes a grid of samples; training goes on where an inverse fails."""
  try:
    images = trainer.sample()
  except tf.errors.InvalidArgumentError as error:
    # The run would end at this step again, however often it is continued.
    _logger.warning(
        'No samples of step %d: %s', step, ' '.join(error.message.split()))
    return
  writer.write_images(step, 'samples', images)


def _summarize(window, step):
  """Returns means over the steps since the last row."""
  columns = {
      name: [float(getattr(m, name)) for m in window]
      for name in ('bits_per_dim', 'gradient_norm', 'cross_entropy', 'accuracy')
      if getattr(window[0], name) is not None
  }
  finite = np.isfinite(list(columns.values())).all(axis=0)
  values = {name: float(np.mean(column)) for name, column in columns.items()}
  values['power_iteration_steps'] = max(
      int(m.power_iteration_steps) for m in window)
  if not finite.all():
    values['first_bad_step'] = step - len(window) + 1 + int(
        np.argmin(finite))
  return values


def _check_finite(values, trainer, step):
  if 'first_bad_step' not in values:
    return
  raise trainer.diverged_error(
      f'the loss or its gradient is not finite at step '
      f'{values["first_bad_step"]} (seen at step {step})')
