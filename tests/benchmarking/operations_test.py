"""Operation counts against a count by hand; the speed of matrix products."""

from tf_resflow import benchmarking
from tf_resflow import models


def _model(**changes):
  return models.ResidualFlow(models.ResidualFlowConfig(**{
      'image_shape': (8, 8, 2), 'num_levels': 17, 'num_blocks': (1, 1),
      'hidden_channels': 5, 'num_dense_blocks': 1, 'dense_hidden_units': 7,
      **changes}))


def test_evaluation_counts_every_product():
  pixels = 8 * 8 * (9 * 2 * 5 + 5 * 5 + 9 * 5 * 2)
  squeezed = 4 * 4 * (9 * 8 * 5 + 5 * 5 + 9 * 5 * 8)
  dense = 128 * 7 + 7 * 7 + 7 * 128
  assert benchmarking.count_evaluation(_model()) == 2 * (
      pixels + squeezed + dense)


def test_training_step_counts_passes():
  """1 + n forward; g, J^T w and the two gradients of each backward."""
  model = _model(num_dense_blocks=0)
  once = benchmarking.count_evaluation(model)
  assert benchmarking.count_training_step(model, 3, 4) == 3 * once * (
      (1 + 4) + 2 + 2 * 2)


def test_speed_of_products_is_within_reason():
  assert 1e7 < benchmarking.matmul_rate(size=128, num_repeats=3) < 1e16
