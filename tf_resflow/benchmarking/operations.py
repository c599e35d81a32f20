"""What a training step has to do, counted; training times that follow.

Such a time is a prediction, not a measurement: it says what a run should cost
where kernels reach the shares below, and shows which part of it is arithmetic.
"""

from collections.abc import Sequence
import itertools
from typing import Any, NamedTuple

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics

# Passes over a hidden layer per evaluation of a block, reads and writes: the
# product that makes it, the elementwise product behind it, the next product.
_PASSES = 4
_BYTES = 4


class StepWork(NamedTuple):
  """What a training step in the mode `recompute` has to do.

  In units of one evaluation of every `g` that is `n + 7` per image: forward `g`
  and `n` vector-Jacobian products; backward once more `g` and one product
  `J^T w`, and from each of the two the gradient in its input and in the
  kernels.

  Attributes:
    block_evaluations: their number over the blocks, whatever the batch.
    operations: multiplications and additions of the linear layers, zero padding
      included; activations and everything else are left out.
    hidden_entries: entries of the hidden layers of all these evaluations.
  """

  block_evaluations: int
  operations: int
  hidden_entries: int


def step_work(
    model: models.Flow, batch_size: int, num_terms: float) -> StepWork:
  """Returns the work of a training step.

  Args:
    model: a flow of blocks, without classifier.
    batch_size: images per step.
    num_terms: `n`, terms of the log-determinant.
  """
  evaluations = num_terms + 7
  blocks = [b.constrained_layers() for b in model.certified_bijections]
  operations = 2 * sum(m.num_multiply_adds for maps in blocks for m in maps)
  hidden = sum(m.num_outputs for maps in blocks for m in maps[:-1])
  return StepWork(
      len(blocks) * evaluations, operations * batch_size * evaluations,
      hidden * batch_size * evaluations)


def estimator_of(config: configuration.Config) -> numerics.Estimator | None:
  """Returns the estimator that a run trains with; None if it needs none."""
  spec = config.model.training_estimator()
  return None if spec is None else numerics.Estimator.get(spec)


def fixed_num_terms(config: configuration.Config) -> int | None:
  """Returns the number of series terms of every step of a run.

  None where steps differ, and where `step_work` does not count all of their
  work, which it does not for classifiers.
  """
  estimator = estimator_of(config)
  return estimator.num_terms if (
      estimator is not None and not config.objective.hybrid) else None


class Accelerator(NamedTuple):
  """Published peak figures of a device.

  Attributes:
    name: of the device.
    operations_per_second: dense float32 or TF32 peak.
    bytes_per_second: memory bandwidth.
    link_bytes_per_second: to the other devices, one direction.
  """

  name: str
  operations_per_second: float
  bytes_per_second: float
  link_bytes_per_second: float


ACCELERATORS = (
    Accelerator('V100, float32', 15.7e12, 0.9e12, 150e9),
    Accelerator('A100, TF32', 156e12, 1.555e12, 300e9),
    Accelerator('H100, TF32', 494e12, 3.35e12, 450e9),
)


def step_seconds(
    work: StepWork, num_parameters: int, accelerator: Accelerator,
    num_devices: int = 1, compute_share: float = 0.4,
    memory_share: float = 0.7) -> float:
  """Returns the predicted seconds of one training step.

    t = F / (K s_c peak) + 4 passes * 4 bytes * E / (K s_m bandwidth)
        + 2 (K - 1) / K * 4 bytes * P / link

  with `F`, `E` of the global batch, `K` devices that share it, `P` parameters
  whose gradients a ring all-reduce adds up; nothing overlaps.

  Args:
    work: of a step on the global batch.
    num_parameters: `P`.
    accelerator: the device.
    num_devices: `K`.
    compute_share: `s_c`, share of the peak that products reach. On two CPU
      cores it was 0.4 for a whole step.
    memory_share: `s_m`, share of the bandwidth that elementwise passes reach.
  """
  compute = work.operations / (
      num_devices * compute_share * accelerator.operations_per_second)
  memory = _PASSES * _BYTES * work.hidden_entries / (
      num_devices * memory_share * accelerator.bytes_per_second)
  reduction = (2.0 * (num_devices - 1) / num_devices * _BYTES * num_parameters /
               accelerator.link_bytes_per_second)
  return compute + memory + reduction


def predict_training(
    config: configuration.Config, device_counts: Sequence[int],
) -> tuple[StepWork, list[dict[str, Any]]]:
  """Predicts the time of a run from operation counts.

  Args:
    config: of the run.
    device_counts: numbers of devices.

  Returns:
    The work of a step at the mean number of terms, and a list of dicts with
    `accelerator`, `num_devices`, `train_step_s` and `days`.

  Raises:
    InvalidValueError: if that mean depends on the weights.
  """
  model = config.model.build()
  estimator = estimator_of(config)
  num_terms = estimator and estimator.mean_num_terms
  errors.check(
      num_terms is not None, 'estimator', estimator and estimator.spec(),
      'one whose mean number of terms is known, such as a roulette',
      '' if estimator else 'The operations of residual blocks alone are '
      'counted.')
  work = step_work(
      model, config.optimizer.batch_size * config.optimizer.accumulation_steps,
      num_terms)

  def predict(accelerator, num_devices):
    seconds = step_seconds(
        work, model.num_parameters, accelerator, num_devices)
    return {
        'accelerator': accelerator.name, 'num_devices': num_devices,
        'train_step_s': seconds,
        'days': seconds * config.optimizer.num_steps / 86400}

  return work, list(itertools.starmap(
      predict, itertools.product(ACCELERATORS, device_counts)))
