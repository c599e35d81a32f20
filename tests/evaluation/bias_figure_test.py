"""The figure shows every curve that there is, and nothing else."""

import numpy as np
import tensorflow as tf

from tf_resflow import evaluation

_NAN = float('nan')
_COLUMNS = {
    'step': np.arange(4.0),
    'biased_bits_per_dim': np.array([2.0, 1.0, 0.5, 0.2]),
    'validation_bits_per_dim': np.array([_NAN, 1.5, _NAN, 2.5])}


def _draw(tmp_path, *runs):
  path = tmp_path / 'bias.png'
  evaluation.save_bias(path, {f'run {i}': run for i, run in enumerate(runs)})
  return tf.io.decode_png(path.read_bytes(), channels=3).numpy()


def test_every_run_has_a_panel_and_every_curve_is_drawn(tmp_path):
  one = _draw(tmp_path, _COLUMNS)
  two = _draw(tmp_path, _COLUMNS, _COLUMNS)
  assert one.shape[0] == two.shape[0] > 200
  assert two.shape[1] == 2 * one.shape[1] > 400
  for name in ('biased_bits_per_dim', 'validation_bits_per_dim'):
    without = {k: v for k, v in _COLUMNS.items() if k != name}
    assert np.any(_draw(tmp_path, without) != one)
  # A column without a value is none.
  empty = _COLUMNS | {'bits_per_dim': np.full(4, _NAN)}
  np.testing.assert_array_equal(_draw(tmp_path, empty), one)
