"""Predicted training times on accelerators, from operation counts alone.

A prediction, not a measurement: it says what a run should cost where kernels
reach the shares below, and shows which part of it is arithmetic.
"""

import dataclasses

from tf_resflow.benchmarking import operations

# Passes over a hidden layer per evaluation of a block, reads and writes: the
# product that makes it, the elementwise product behind it, the next product.
_PASSES = 4
_BYTES = 4


@dataclasses.dataclass(frozen=True)
class Accelerator:
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
    work: operations.StepWork, num_parameters: int, accelerator: Accelerator,
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
