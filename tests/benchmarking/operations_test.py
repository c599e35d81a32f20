"""Operation counts against a count by hand; the speed of matrix products."""

from tf_resflow import benchmarking
from tf_resflow import models


def _model(**changes):
  return models.ResidualFlow(models.ResidualFlowConfig(**{
      'image_shape': (8, 8, 2), 'num_levels': 17, 'num_blocks': (1, 1),
      'hidden_channels': 5, 'num_dense_blocks': 1, 'dense_hidden_units': 7,
      **changes}))


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


def test_speed_of_products_is_within_reason():
  assert 1e7 < benchmarking.matmul_rate(size=128, num_repeats=3) < 1e16
