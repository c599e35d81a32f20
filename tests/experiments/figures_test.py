"""Figures of small runs; derivatives against finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.experiments import figures


@pytest.mark.parametrize('name', ['softplus', 'elu', 'lipswish'])
def test_derivatives(name):
  x, (y, slope, curvature) = figures.derivatives(name)
  smooth = np.abs(x) > 0.05  # ELU has a kink in its slope at 0.
  step = x[1] - x[0]
  for value, derivative in ((y, slope), (slope, curvature)):
    np.testing.assert_allclose(
        np.gradient(np.float64(value), step)[1:-1][smooth[1:-1]],
        derivative[1:-1][smooth[1:-1]], atol=2e-3)
  # Condition 1 of Section 3.3.
  assert np.abs(slope).max() <= 1.0 + 1e-6


def test_nearest():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, [7, 4, 4, 1], np.uint8)
  order = rng.permutation(7)
  np.testing.assert_array_equal(
      figures.nearest(images[order][:3], images), order[:3])


@pytest.mark.slow
def test_pictures_of_runs(tmp_path):
  workdir = str(tmp_path / 'run')
  workflow.fit(configuration.make_config(
      num_blocks=(1,), hidden_channels=4, num_dense_blocks=0, num_steps=2,
      warmup_steps=0, log_every=1, sample_every=0), workdir,
               evaluate_at_end=False)
  runs = {'a': [workdir] * 2, 'b': [workdir]}
  for draw in (figures.save_curves, figures.save_bias, figures.save_samples,
               figures.save_temperatures, lambda path, _: (
                   figures.save_activations(path))):
    path = tmp_path / 'figure.png'
    draw(str(path), runs)
    assert path.stat().st_size > 1000
    path.unlink()


_NAN = float('nan')
_COLUMNS = {
    'step': np.arange(4.0),
    'biased_bits_per_dim': np.array([2.0, 1.0, 0.5, 0.2]),
    'validation_bits_per_dim': np.array([_NAN, 1.5, _NAN, 2.5])}


@pytest.fixture(name='draw')
def _draw(tmp_path, monkeypatch):
  """Returns a function that draws runs with these metrics."""

  def draw(*columns):
    monkeypatch.setattr(training, 'read_metrics', columns.__getitem__)
    path = tmp_path / 'bias.png'
    figures.save_bias(path, {f'run {i}': [i] for i in range(len(columns))})
    return tf.io.decode_png(path.read_bytes(), channels=3).numpy()

  return draw


def test_every_run_has_a_panel_and_every_curve_is_drawn(draw):
  one = draw(_COLUMNS)
  two = draw(_COLUMNS, _COLUMNS)
  assert one.shape[0] == two.shape[0] > 200
  assert two.shape[1] == 2 * one.shape[1] > 400
  for name in ('biased_bits_per_dim', 'validation_bits_per_dim'):
    without = {k: v for k, v in _COLUMNS.items() if k != name}
    assert np.any(draw(without) != one)
  # A column without a value is none.
  empty = _COLUMNS | {'bits_per_dim': np.full(4, _NAN)}
  np.testing.assert_array_equal(draw(empty), one)
