"""What a run does, each thing once: steps, validation, samples, a checkpoint.
"""

from collections.abc import Callable, Mapping
import os
import subprocess
import tempfile
import time
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.benchmarking import tasks
from tf_resflow.training import checkpoints
from tf_resflow.training import trainer

# What a validation, or drawing samples, may take; more is extrapolated.
_SECONDS = 5.0
# Of `evaluation.validate` and of `trainer.Trainer.sample_images`.
_NUM_VALIDATION_REPEATS = 8
_NUM_SAMPLES = 64


def memory_gb() -> float | None:
  """Returns the memory that a run can have here, 10^9 bytes.

  Of the first GPU where there is one, else of the machine or of the control
  group that the process is in; None if it cannot be found out.
  """
  if tf.config.list_logical_devices('GPU'):
    return _gpu_memory_gb()
  limits = []
  for path in ('/sys/fs/cgroup/memory.max',
               '/sys/fs/cgroup/memory/memory.limit_in_bytes'):
    try:
      with open(path, encoding='utf-8') as file:
        limits.append(int(file.read()))
    except (OSError, ValueError):  # No such group, or `max`.
      pass
  try:
    limits.append(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))
  except (ValueError, OSError):
    pass
  return min(limits) / 1e9 if limits else None


def _gpu_memory_gb() -> float | None:
  """Returns that of the smallest GPU; TensorFlow does not tell."""
  try:
    process = subprocess.run(
        ['nvidia-smi', '--query-gpu=memory.total',
         '--format=csv,noheader,nounits'],
        capture_output=True, text=True, check=True)
    return min(map(int, process.stdout.split())) * 2**20 / 1e9
  except (OSError, ValueError, subprocess.CalledProcessError):
    return None


def _seconds(function: Callable[[], Any], warms_up: bool = True) -> float:
  """Returns the time of a call, after one that traces."""
  if warms_up:
    function()
  start = time.perf_counter()
  function()
  return time.perf_counter() - start


def _random_split(
    settings: tasks.Settings, model: models.Flow, size: int) -> datasets.Split:
  """Returns a part of noise that a flow takes."""
  x = settings.batch(model.event_shape, size)
  if model.num_levels is not None:
    x = tf.cast(x * model.num_levels, tf.uint8)
  examples = {'x': x, 'label': tf.zeros([size], tf.int32)}
  condition = settings.condition(model, size)
  if condition is not None:
    examples['condition'] = condition
  return datasets.Split(
      tf.data.Dataset.from_tensor_slices(examples), size, model.event_shape,
      model.num_levels)


def extrapolate(
    seconds: Mapping[int, float], count: int) -> float:
  """Returns the time for so many examples, `fixed + count * each`.

  Args:
    seconds: by numbers of examples, of two at most; time never falls with them.
    count: not below them.

  Example:
    >>> extrapolate({2: 5.0, 4: 6.0}, 10), extrapolate({10: 9.5}, 10)
    (9.0, 9.5)
  """
  (few, first), (many, last) = min(seconds.items()), max(seconds.items())
  each = max(last - first, 0.0) / (many - few) if many > few else 0.0
  return last + (count - many) * each


def _measure_validation(
    settings: tasks.Settings, learner: trainer.Learner,
    seconds_per_example: float) -> dict[str, float]:
  model, count = learner.model, settings.config.data.num_validation
  size = int(np.clip(
      _SECONDS / _NUM_VALIDATION_REPEATS / seconds_per_example, 2, count))
  if size == count:
    split = _random_split(settings, model, size)
    validation = evaluation.Validation(model, learner.strategy)
    return {'validation_s': _seconds(lambda: validation(split)),
            'validation_examples': size}
  costs = evaluation.NegativeLogLikelihood(model, strategy=learner.strategy)
  split = _random_split(settings, model, 2 * size)
  # More repeats take as long as more examples, of which small batches would
  # take longer for each. Where nothing is drawn, there is one repeat.
  seconds = {
      size * factor: _seconds(lambda factor=factor: costs(
          split, num_examples=size if costs.is_random else factor * size,
          num_repeats=factor * _NUM_VALIDATION_REPEATS))
      for factor in (1, 2)}
  return {'validation_s': extrapolate(seconds, max(count, 2 * size)) * (
      2 if model.is_biased else 1), 'validation_examples': size}


def _measure_samples(
    settings: tasks.Settings, learner: trainer.Learner,
    seconds_per_example: float) -> dict[str, float]:

  def draw(size):
    return lambda: learner.model.sample(
        size, seed=settings.seed,
        condition=settings.condition(learner.model, size)).numpy()

  size = int(np.clip(_SECONDS / seconds_per_example, 4, _NUM_SAMPLES))
  sizes = [size] if size == _NUM_SAMPLES else [size // 2, size]
  return {'samples_s': extrapolate(
      {n: _seconds(draw(n)) for n in sizes}, _NUM_SAMPLES),
          'samples_examples': size}


def _measure_checkpoint(learner: trainer.Learner) -> dict[str, float]:
  with tempfile.TemporaryDirectory() as folder:
    manager = checkpoints.make_manager(
        tf.train.Checkpoint(**learner.state), folder, 1)
    seconds = _seconds(manager.save)
    size = sum(
        os.path.getsize(f'{manager.latest_checkpoint}{end}')
        for end in ('.index', '.data-00000-of-00001'))
  return {'checkpoints_s': seconds, 'checkpoint_mb': size / 1e6}


def measure_run(settings: tasks.Settings, start_time: float) -> dict[str, Any]:
  """Measures what a run of a configuration consists of, on noise.

  Validation and samples of large flows are measured on few examples, and
  extrapolated: too much, since small batches take longer for an example. They
  are those of weights that were hardly trained; trained ones take more terms
  and more steps of the inverse.

  Args:
    settings: what is measured.
    start_time: `time.perf_counter()` when the process started.

  Returns:
    What `tasks.measure_training` returns, and `checkpoints_s`,
    `checkpoint_mb`; `validation_s` of runs that validate, `samples_s` of runs
    that sample images, with `validation_examples` and `samples_examples` that
    were looked at; `memory_gb`, see the function. `peak_memory_gb` includes
    all of these.
  """
  config = settings.config
  values, learner = tasks.measure_steps(settings, start_time)
  seconds = values['train_step_mean_s'] / (
      config.optimizer.batch_size * config.optimizer.accumulation_steps)
  values |= _measure_checkpoint(learner)
  if config.run.evaluate_every:
    values |= _measure_validation(settings, learner, seconds)
  if config.run.sample_every and len(learner.model.event_shape) == 3:
    values |= _measure_samples(settings, learner, seconds)
  return values | {
      'peak_memory_gb': tasks.peak_memory_gb(), 'memory_gb': memory_gb()}
