"""Predictions against a count by hand."""

import pytest

from tf_resflow.benchmarking import operations
from tf_resflow.benchmarking import prediction

_DEVICE = prediction.Accelerator('test', 1e12, 1e9, 1e8)
_WORK = operations.StepWork(
    operations=2 * 10**12, hidden_entries=10**8, block_evaluations=1)


def test_one_device():
  # 2 s at the peak; 1.6e9 bytes take 1.6 s.
  assert prediction.step_seconds(
      _WORK, 10**6, _DEVICE, compute_share=0.5, memory_share=0.8
  ) == pytest.approx(2.0 / 0.5 + 1.6 / 0.8)


def test_devices_share_the_work_and_add_up_gradients():
  # Each of 4 sends 3/4 of 4e6 bytes twice, at 1e8 bytes a second.
  assert prediction.step_seconds(
      _WORK, 10**6, _DEVICE, num_devices=4, compute_share=1.0,
      memory_share=1.0) == pytest.approx((2.0 + 1.6) / 4 + 0.06)
