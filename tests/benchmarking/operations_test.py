"""Operation counts against counts by hand."""

import pytest

from tests import flows
from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow import models


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
