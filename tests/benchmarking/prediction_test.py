"""Predictions against a count by hand."""

import pytest

from tf_resflow import configuration
from tf_resflow.benchmarking import operations
from tf_resflow.benchmarking import prediction

_CONFIG = configuration.make_config(
    dataset='digits', num_blocks=(1, 1), hidden_channels=4,
    num_dense_blocks=1, dense_hidden_units=4, batch_size=4, num_steps=86400,
    resize=8)
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


def test_prediction():
  work, rows = prediction.predict_training(_CONFIG, [1, 4])
  # Two exact terms and two of Poisson(2).
  assert work == operations.step_work(_CONFIG.model.build(), 4, 4)
  for one, four in zip(rows[::2], rows[1::2], strict=True):
    assert one['accelerator'] == four['accelerator']
    assert (one['num_devices'], four['num_devices']) == (1, 4)
    # As many steps as a day has seconds.
    assert one['days'] == pytest.approx(one['train_step_s'])
    assert 0.25 * one['days'] < four['days']


def test_a_mean_that_depends_on_the_weights():
  with pytest.raises(ValueError, match='estimator=adaptive.* mean number of'):
    prediction.predict_training(_CONFIG.replace(estimator='adaptive'), [1])
