"""Operation counts, and predictions from them, against counts by hand."""

import pytest

from tests import flows
from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow.benchmarking import operations

_PREDICTED = configuration.make_config(
    dataset='digits', num_blocks=(1, 1), hidden_channels=4,
    num_dense_blocks=1, dense_hidden_units=4, batch_size=4, num_steps=86400,
    resize=8)
_DEVICE = operations.Accelerator('test', 1e12, 1e9, 1e8)
_WORK = operations.StepWork(
    operations=2 * 10**12, hidden_entries=10**8, block_evaluations=1)


def _model(**changes):
  return models.ResidualFlowConfig(**{
      'image_shape': (8, 8, 2), 'num_levels': 17, 'num_blocks': (1, 1),
      'hidden_channels': 5, 'num_dense_blocks': 1, 'dense_hidden_units': 7,
      **changes}).build()


def test_work_of_a_step_against_a_count_by_hand():
  """1 + n forward; g, J^T w and the two gradients of each backward: n + 7."""
  pixels = 8 * 8 * (9 * 2 * 5 + 5 * 5 + 9 * 5 * 2)
  squeezed = 4 * 4 * (9 * 8 * 5 + 5 * 5 + 9 * 5 * 8)
  dense = 128 * 7 + 7 * 7 + 7 * 128
  work = benchmarking.step_work(_model(), batch_size=3, num_terms=4)
  passes = (1 + 4) + 2 + 2 * 2
  assert work.operations == 3 * passes * 2 * (pixels + squeezed + dense)
  assert work.hidden_entries == 3 * passes * (
      2 * 8 * 8 * 5 + 2 * 4 * 4 * 5 + 2 * 7)
  assert work.block_evaluations == 3 * passes


def test_factored_out_blocks_have_fewer_channels():
  work = benchmarking.step_work(
      _model(factor_out=True, num_dense_blocks=0), batch_size=1, num_terms=0)
  pixels = 8 * 8 * (9 * 2 * 5 + 5 * 5 + 9 * 5 * 2)
  halved = 4 * 4 * (9 * 4 * 5 + 5 * 5 + 9 * 5 * 4)
  assert work.operations == 7 * 2 * (pixels + halved)


def test_a_flow_without_blocks_has_no_work():
  work = benchmarking.step_work(
      flows.make_flow_without_blocks(), batch_size=3, num_terms=4)
  assert work == (0, 0, 0)


@pytest.mark.parametrize('values, expected', [
    ({'estimator': 'fixed:6'}, 6),
    ({'estimator': 'fixed:6', 'hybrid': True}, None),
    ({}, None), ({'estimator': 'adaptive'}, None),
    ({'estimator': 'exact'}, None)])
def test_numbers_of_terms_that_are_fixed(values, expected):
  config = configuration.make_config(num_blocks=(1,), **values)
  assert benchmarking.fixed_num_terms(config) == expected


def test_one_device():
  # 2 s at the peak; 1.6e9 bytes take 1.6 s.
  assert operations.step_seconds(
      _WORK, 10**6, _DEVICE, compute_share=0.5, memory_share=0.8
  ) == pytest.approx(2.0 / 0.5 + 1.6 / 0.8)


def test_devices_share_the_work_and_add_up_gradients():
  # Each of 4 sends 3/4 of 4e6 bytes twice, at 1e8 bytes a second.
  assert operations.step_seconds(
      _WORK, 10**6, _DEVICE, num_devices=4, compute_share=1.0,
      memory_share=1.0) == pytest.approx((2.0 + 1.6) / 4 + 0.06)


def test_prediction():
  work, rows = operations.predict_training(_PREDICTED, [1, 4])
  # Two exact terms and two of Poisson(2).
  assert work == operations.step_work(_PREDICTED.model.build(), 4, 4)
  for one, four in zip(rows[::2], rows[1::2], strict=True):
    assert one['accelerator'] == four['accelerator']
    assert (one['num_devices'], four['num_devices']) == (1, 4)
    # As many steps as a day has seconds.
    assert one['days'] == pytest.approx(one['train_step_s'])
    assert 0.25 * one['days'] < four['days']


def test_a_mean_that_depends_on_the_weights():
  with pytest.raises(ValueError, match='estimator=adaptive.* mean number of'):
    operations.predict_training(_PREDICTED.replace(estimator='adaptive'), [1])
