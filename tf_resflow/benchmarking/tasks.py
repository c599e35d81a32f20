"""The tasks of benchmarks, and operation counts of a training step."""

from collections.abc import Sequence
import contextlib
import dataclasses
import itertools
import resource
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.specs import machine
from tf_resflow.training import learner as learner_lib

_NUM_WARM_UP = 2
# For `measure_run`: least seconds of all steps, and the latest start of a step.
_STEPS_S, _LAST_S = 10.0, 60.0


@dataclasses.dataclass(frozen=True)
class Settings:
  """Settings of the measurements.

  Attributes:
    config: of the run; its `batch_size` and seed are those of every task, its
      estimator that of training. With a fixed number of terms all steps are
      equal.
    workdir: a run whose averaged weights are evaluated and sampled; None for
      freshly initialised ones.
    images: dequantised images `[n, H, W, C]`, of which the first batch is used;
      None for uniform noise.
    num_repeats: timed repeats, of which the median is reported. 0 ends training
      after its first step, to measure only start-up and memory.
    estimator: of the evaluation, `Flow.evaluation_estimator` of data by
      default.
    tolerance: residual at which sampling stops.
  """

  config: configuration.Config
  workdir: str | None = None
  images: np.ndarray | None = None
  num_repeats: int = 5
  estimator: numerics.Estimator | None = None
  tolerance: float = 1e-5

  def batch(self, event_shape: Sequence[int], size: int) -> tf.Tensor:
    """Returns images `[size, H, W, C]`."""
    if self.images is None:
      return tf.constant(np.random.default_rng(self.config.run.seed).random(
          [size, *event_shape]), tf.float32)
    errors.check(len(self.images) >= size, 'batch_size', size,
                 f'at most {len(self.images)}, the number of images')
    return tf.constant(self.images[:size], tf.float32)

  def condition(self, model: models.Flow, size: int) -> tf.Tensor | None:
    """Returns labels in turn or zeros, `[size, ...]`; None if unconditional."""
    spec = model.condition_spec
    if spec is None:
      return None
    return tf.range(size) % spec.num_labels if spec.num_labels else tf.zeros(
        [size, *spec.shape])

  @property
  def step_size(self) -> int:
    """Examples of a training step."""
    optimizer = self.config.optimizer
    return optimizer.batch_size * optimizer.accumulation_steps

  def first_batch(self, learner: learner_lib.Learner) -> models.Batch:
    """Returns `step_size` examples, and initialises a new learner by them."""
    size = self.step_size
    condition = self.condition(learner.model, size)
    whole = tf.data.Dataset.from_tensor_slices(models.Batch(
        self.batch(learner.model.event_shape, size),
        tf.zeros([size], tf.int32),
        *([] if condition is None else [condition])))
    batch = next(iter(learner.strategy.experimental_distribute_dataset(
        whole.batch(size, drop_remainder=True))))
    learner.initialize(batch)
    return batch

  def make_model(self) -> tuple[models.Flow, tf.Tensor, tf.Tensor | None]:
    """Returns the model to evaluate or sample, frozen, and a batch."""
    model = (self.config.model.build() if self.workdir is None
             else training.workdir.restore_model(self.workdir)[0])
    images = self.batch(model.event_shape, self.config.optimizer.batch_size)
    condition = self.condition(model, len(images))
    if self.workdir is None:
      model.save_norms()
      model.initialize(images, condition=condition)
    return model.frozen(), images, condition  # As in evaluations.


def peak_memory_gb() -> float:
  """Returns the peak memory of this process so far, in 10^9 bytes.

  On a GPU, that of TensorFlow's allocations there, else the resident memory.
  """
  if tf.config.list_logical_devices('GPU'):
    return tf.config.experimental.get_memory_info('GPU:0')['peak'] / 1e9
  # macOS counts bytes, Linux units of 1024.
  return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss *
          (1 if sys.platform == 'darwin' else 1024) / 1e9)


def memory_gb() -> float | None:
  """Returns the memory available to a run, in 10^9 bytes.

  That of the smallest GPU if there is one, else of the machine or the control
  group of the process; None if it is unknown.
  """
  with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
    if tf.config.list_logical_devices('GPU'):  # TensorFlow has no API.
      return 2**20 / 1e9 * min(map(int, subprocess.check_output([
          'nvidia-smi', '--query-gpu=memory.total',
          '--format=csv,noheader,nounits']).split()))
  limit = machine.memory_bytes()
  return limit / 1e9 if limit else None


def _times(function, num_repeats):
  """Returns the seconds and the results of calls after warm-up."""
  seconds, results = [], []
  for i in range(_NUM_WARM_UP + num_repeats):
    start = time.perf_counter()
    results.append(tf.nest.map_structure(lambda t: t.numpy(), function(i)))
    seconds.append(time.perf_counter() - start)
  return seconds[_NUM_WARM_UP:], results[_NUM_WARM_UP:]


def _times_of_draws(function, settings):
  """Returns those of a function of a seed, as a graph."""
  traced = tf.function(function, autograph=False)
  return _times(lambda i: traced(tf.constant([settings.config.run.seed, i])),
                settings.num_repeats)


def matmul_rate(size: int = 2048, num_repeats: int = 15) -> float:
  """Returns the speed of plain matrix products, operations per second.

  This is the maximum of several float32 products of square matrices on this
  machine, by the library that the flow uses as well. Where operations have one
  thread, every core computes one.
  """
  rng = np.random.default_rng(0)
  num_products = numerics.parallel.num_parallel()
  matrices = [tf.constant(rng.normal(size=[size, size]), tf.float32)
              for _ in range(num_products + 1)]
  products = tf.function(lambda: [
      tf.reduce_sum(tf.matmul(a, b))
      for a, b in itertools.pairwise(matrices)], autograph=False)
  seconds, _ = _times(lambda _: products(), num_repeats)
  return num_products * 2.0 * size**3 / min(seconds)


class StepWork(NamedTuple):
  """Operation counts of a training step in the mode `recompute`.

  A step takes the work of `n + 7` evaluations of every `g` per image: forward
  `g` and `n` vector-Jacobian products; backward `g` again and one product
  `J^T w`, and of each of the two the gradients with respect to its input and to
  the kernels.

  Attributes:
    operations: multiplications and additions of the linear layers, zero padding
      included; activations and everything else are not counted.
    hidden_entries: entries of the hidden layers of all these evaluations.
  """

  operations: float
  hidden_entries: float


def step_work(
    model: models.Flow, batch_size: int, num_terms: float) -> StepWork:
  """Returns the counts of a step of `num_terms` terms, without classifier."""
  evaluations = num_terms + 7
  blocks = [b.constrained_layers() for b in model.certified_bijections]
  operations = 2 * sum(m.num_multiply_adds for maps in blocks for m in maps)
  hidden = sum(m.num_outputs for maps in blocks for m in maps[:-1])
  return StepWork(operations * batch_size * evaluations,
                  hidden * batch_size * evaluations)


def fixed_num_terms(config: configuration.Config) -> int | None:
  """Returns the number of series terms of every step; None if steps differ.

  Also if `step_work` does not count all of their work, as for classifiers.
  """
  estimator = numerics.Estimator.get(config.model.training_estimator())
  network = getattr(config.model, 'network_type', None)
  return estimator.num_terms if (
      estimator is not None and not config.objective.hybrid and
      (network is None or network.counts_work)) else None


def measure_training(settings: Settings, start_time: float) -> dict[str, Any]:
  """Measures training steps of a freshly initialised model.

  Returns:
    `num_parameters`; `first_step_s` (from the start of the process, at
    `start_time` of `time.perf_counter()`, to the end of the first step:
    imports, building, tracing, compilation) and `first_metrics`, what that step
    would log; `train_step_s`, the median, and `train_step_mean_s`, the mean
    over all draws of the number of terms; `num_steps_measured`,
    `images_per_second`, `peak_memory_gb`; with a fixed number of terms also
    `matmul_gflops` and `ceiling_fraction`, the time that plain matrix products
    would take for the operations of a step over the time of the step.
  """
  learner = learner_lib.Learner(settings.config)
  batch, size = settings.first_batch(learner), settings.step_size

  def run(step):
    return learner.run_step(batch, tf.constant(step, tf.int64))

  metrics = {name: float(value) for name, value in run(0).items()}
  result = {
      'num_parameters': learner.model.num_parameters,
      'first_step_s': time.perf_counter() - start_time,
      'first_metrics': metrics}
  if not settings.num_repeats:
    return result | {'peak_memory_gb': peak_memory_gb()}
  seconds, _ = _times(lambda i: run(i + 1), settings.num_repeats)
  step = statistics.median(seconds)
  result |= {
      'train_step_s': step,
      'train_step_mean_s': statistics.fmean(seconds),
      'num_steps_measured': len(seconds),
      'images_per_second': size / step,
      'peak_memory_gb': peak_memory_gb()}
  num_terms = fixed_num_terms(settings.config)
  # The evaluations of forward passes that solve are not counted.
  if num_terms is not None and not learner.model.bijection.num_solves[0]:
    rate = matmul_rate()
    work = step_work(learner.model, size, num_terms)
    result |= {
        'matmul_gflops': rate / 1e9,
        'ceiling_fraction': work.operations / rate / step}
  return result


def measure_evaluation(settings: Settings) -> dict[str, Any]:
  """Measures log-densities of one batch.

  Returns:
    `evaluate_s`, and `evaluate_std_nats`, the standard deviation of an
    image's log-determinant over the repeats, root mean square over the images.
  """
  model, images, condition = settings.make_model()
  estimator = settings.estimator or model.evaluation_estimator(
      dequantizes=True)
  seconds, values = _times_of_draws(
      lambda seed: model.forward_and_log_det(
          images, condition, seed=seed, estimator=estimator)[1], settings)
  return {
      'evaluate_s': statistics.median(seconds),
      'evaluate_std_nats': float(np.sqrt(np.mean(
          np.var(np.asarray(values, np.float64), axis=0, ddof=1))))}


def measure_sampling(settings: Settings) -> dict[str, Any]:
  """Measures drawing one batch of samples.

  Returns:
    `sample_s`, and over all solves, samples and repeats `sample_residual_max`,
    `sample_num_steps_mean` (evaluations of a `g`) and
    `sample_num_not_converged`; these are 0 for a flow that solves nothing.
  """
  model, images, condition = settings.make_model()
  solver = numerics.Anderson(atol=settings.tolerance, rtol=0.0)

  def run(seed):
    inverted = model.solve_inverse(
        model.draw_latents(len(images), seed=seed), condition, solver=solver)
    return inverted.value, [solve.solution._replace(x=()) for solve in
                        inverted.solves]

  seconds, values = _times_of_draws(run, settings)
  solutions = [solution for _, found in values for solution in found]
  return {
      'sample_s': statistics.median(seconds),
      'sample_residual_max': max(
          (float(s.residual.max()) for s in solutions), default=0.0),
      'sample_num_steps_mean': float(
          np.mean([s.num_steps.mean() for s in solutions] or [0.0])),
      'sample_num_not_converged': sum(
          int(np.sum(~s.converged)) for s in solutions)}


def measure_run(settings: Settings, start_time: float) -> dict[str, Any]:
  """Measures training steps for some seconds, one besides the first at least.
  """
  learner = learner_lib.Learner(settings.config)
  batch = settings.first_batch(learner)
  ends: list[float] = []
  while len(ends) < 2 or (ends[-1] - ends[0] < _STEPS_S and
                          ends[-1] - start_time < _LAST_S):
    step = tf.constant(len(ends), tf.int64)
    float(learner.run_step(batch, step)['gradient_norm'])
    ends.append(time.perf_counter())
  return {
      'num_parameters': learner.model.num_parameters,
      'first_step_s': ends[0] - start_time,
      'train_step_mean_s': (ends[-1] - ends[0]) / (len(ends) - 1),
      'num_steps_measured': len(ends) - 1,
      'peak_memory_gb': peak_memory_gb(), 'memory_gb': memory_gb(),
      'checkpoint_mb': sum(
          v.numpy().nbytes
          for m in (learner.model, learner.optimizer, learner.ema)
          for v in m.variables) / 1e6}


# By name; the second argument is the time when the process started.
TASKS = {
    'train': measure_training,
    'evaluate': lambda settings, _: measure_evaluation(settings),
    'sample': lambda settings, _: measure_sampling(settings),
    'run': measure_run}
