"""The tasks that are timed: a training step, an evaluation, sampling."""

import dataclasses
import resource
import statistics
import sys
import time
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.benchmarking import operations
from tf_resflow.training import strategies

_NUM_WARM_UP = 2


@dataclasses.dataclass(frozen=True)
class Settings:
  """What is measured.

  Attributes:
    config: a `configuration.Config`; its `batch_size` is that of every task.
    workdir: a run whose averaged weights are evaluated and sampled; None for
      freshly initialised ones.
    images: dequantised images `[n, H, W, C]` of which the first batch is
      taken; None for uniform noise.
    num_repeats: timed repeats; the median counts. 0 ends training after its
      first step, for start-up and memory alone.
    num_roulette_terms: forces the number of terms beyond the exact ones; None
      draws it at every step.
    estimator: of the evaluation, `evaluation.default_estimator()` by default.
    tolerance: residual at which sampling stops.
    seed: Python int.
  """

  config: configuration.Config
  workdir: str | None = None
  images: np.ndarray | None = None
  num_repeats: int = 5
  num_roulette_terms: int | None = None
  estimator: numerics.Estimator | None = None
  tolerance: float = 1e-5
  seed: int = 0


def peak_memory_gb():
  """Returns the most memory that this process held so far, 10^9 bytes.

  On a GPU the allocations of TensorFlow there, else the resident memory.
  """
  devices = tf.config.list_logical_devices('GPU')
  if devices:
    return tf.config.experimental.get_memory_info(
        f'GPU:{devices[0].name.rsplit(":", 1)[-1]}')['peak'] / 1e9
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  # macOS counts bytes, Linux units of 1024.
  return peak * (1 if sys.platform == 'darwin' else 1024) / 1e9


def _times(function, num_repeats):
  """Returns the seconds of calls after warm-up, and all results."""
  seconds, results = [], []
  for i in range(_NUM_WARM_UP + num_repeats):
    start = time.perf_counter()
    results.append(tf.nest.map_structure(lambda t: t.numpy(), function(i)))
    seconds.append(time.perf_counter() - start)
  return seconds[_NUM_WARM_UP:], results[_NUM_WARM_UP:]


def _images(settings, event_shape, size):
  """Returns a batch `[size, H, W, C]`."""
  if settings.images is None:
    rng = np.random.default_rng(settings.seed)
    return tf.constant(rng.random([size, *event_shape]), tf.float32)
  if len(settings.images) < size:
    raise ValueError(
        f'{size} images are needed, but there are {len(settings.images)}; '
        'choose another batch_size.')
  return tf.constant(settings.images[:size], tf.float32)


def _make_model(settings):
  """Returns the model to evaluate, and the batch."""
  size = settings.config.optimizer.batch_size
  if settings.workdir is not None:
    model, _ = training.load_model(settings.workdir)
    return model, _images(settings, model.event_shape, size)
  model = settings.config.model.build()
  images = _images(settings, model.event_shape, size)
  model.save_singular_vectors()
  model.initialize(images)
  return model, images


def measure_training(settings, start_time):
  """Measures training steps of a freshly initialised model.

  Args:
    settings: `Settings`.
    start_time: `time.perf_counter()` when the process started.

  Returns:
    A dict: `first_step_s` (from the start of the process to the end of the
    first step: imports, building, tracing, compilation), `train_step_s`,
    `images_per_second`, `peak_memory_gb`; with a forced number of terms also
    `matmul_gflops` and `ceiling_fraction`, the time that plain matrix products
    would take for the step's operations over the time of the step, and `work`,
    a dict of its `operations.StepWork`.
  """
  config = settings.config
  strategy = training.make_strategy(config.run.strategy)
  num_replicas = strategy.num_replicas_in_sync
  size = config.optimizer.batch_size * config.optimizer.accumulation_steps
  strategies.check_batch_size(config.optimizer.batch_size, strategy)
  with strategy.scope():
    model = config.model.build()
    optimizer = training.make_optimizer(config.optimizer)
    optimizer.build(model.trainable_variables)
    ema = training.ExponentialMovingAverage(model, config.optimizer.ema_decay)
  num_terms = None
  if settings.num_roulette_terms is not None:
    roulette = model.residual_blocks[0].log_det
    num_terms = roulette.num_exact_terms + settings.num_roulette_terms
    for block in model.residual_blocks:
      block.log_det = numerics.FixedTruncation(num_terms, roulette.probe)
  train_step = training.TrainStep(
      model, optimizer, training.objectives.objective_of(
          model, config.objective.nll_weight),
      ema, clip_norm=config.optimizer.clip_norm, seed=config.run.seed,
      accumulation_steps=config.optimizer.accumulation_steps,
      jit_compile=config.run.jit_compile)
  batch = _images(settings, model.event_shape, size)
  per_replica = size // num_replicas
  images = strategy.experimental_distribute_values_from_function(
      lambda context: batch[context.replica_id_in_sync_group * per_replica:][
          :per_replica])
  labels = None
  if config.objective.hybrid:
    labels = strategy.experimental_distribute_values_from_function(
        lambda _: tf.zeros([per_replica], tf.int32))
  model.save_singular_vectors()
  training.initialize(model, strategy, images)

  @tf.function(autograph=False)
  def run(step):
    result = strategy.run(
        train_step, args=(training.Batch(images, labels), step))
    return strategy.experimental_local_results(result['gradient_norm'])[0]

  run(tf.constant(0, tf.int64)).numpy()
  result = {'first_step_s': time.perf_counter() - start_time}
  if not settings.num_repeats:
    return result | {'peak_memory_gb': peak_memory_gb()}
  seconds, _ = _times(
      lambda i: run(tf.constant(i + 1, tf.int64)), settings.num_repeats)
  step = statistics.median(seconds)
  result |= {
      'train_step_s': step,
      'images_per_second': size / step,
      'peak_memory_gb': peak_memory_gb(),
  }
  if num_terms is not None and operations.is_counted(config):
    rate = operations.matmul_rate()
    work = operations.step_work(model, size, num_terms)
    result['matmul_gflops'] = rate / 1e9
    result['ceiling_fraction'] = work.operations / rate / step
    result['work'] = work._asdict()
  return result


def measure_evaluation(settings):
  """Measures log-densities of one batch.

  Args:
    settings: `Settings`.

  Returns:
    A dict: `evaluate_s`, and `evaluate_deviation_nats`, the standard deviation
    of an image's log-determinant over the repeats, root mean square over the
    images.
  """
  model, images = _make_model(settings)
  if settings.num_roulette_terms is not None:
    estimator = numerics.FixedTruncation(20 + settings.num_roulette_terms)
  else:
    estimator = settings.estimator or evaluation.default_estimator()

  @tf.function(autograph=False)
  def run(seed):
    return model.forward_and_log_det(images, seed=seed, estimator=estimator)[1]

  seconds, values = _times(
      lambda i: run(tf.constant([settings.seed, i])), settings.num_repeats)
  variance = np.var(np.asarray(values, np.float64), axis=0, ddof=1)
  return {
      'evaluate_s': statistics.median(seconds),
      'evaluate_deviation_nats': float(np.sqrt(np.mean(variance))),
  }


def measure_sampling(settings):
  """Measures drawing one batch of samples.

  Args:
    settings: `Settings`.

  Returns:
    A dict: `sample_s`, and over all blocks, samples and repeats
    `sample_residual_max`, `sample_num_steps_mean` (evaluations of a `g`) and
    `sample_num_not_converged`.
  """
  model, _ = _make_model(settings)
  solver = numerics.Anderson(atol=settings.tolerance, rtol=0.0)

  @tf.function(autograph=False)
  def run(seed):
    solutions = []
    z = numerics.random.normal(
        [settings.config.optimizer.batch_size, model.event_size], seed)
    x = model.inverse(
        z, solver, on_block=lambda block, y, solution: solutions.append(
            (solution.residual, solution.num_steps, solution.converged)))
    return x, [tf.stack(parts) for parts in zip(*solutions, strict=True)]

  seconds, values = _times(
      lambda i: run(tf.constant([settings.seed, i])), settings.num_repeats)
  residuals, num_steps, converged = [
      np.stack(parts) for parts in zip(*(v[1] for v in values), strict=True)]
  return {
      'sample_s': statistics.median(seconds),
      'sample_residual_max': float(residuals.max()),
      'sample_num_steps_mean': float(num_steps.mean()),
      'sample_num_not_converged': int(np.sum(~converged)),
  }


_TASKS = {
    'train': measure_training,
    'evaluate': lambda settings, _: measure_evaluation(settings),
    'sample': lambda settings, _: measure_sampling(settings),
}


def measure_task(
    name: str, settings: Settings, start_time: float) -> dict[str, Any]:
  """Measures one task in this process.

  Args:
    name: train, evaluate or sample.
    settings: what is measured.
    start_time: `time.perf_counter()` when the process started.

  Returns:
    What the function of the task returns.
  """
  return _TASKS[name](settings, start_time)
