"""Figures are images of some size with something on them."""

import numpy as np
import tensorflow as tf

from tf_resflow.benchmarking import figures
from tf_resflow.benchmarking import operations
from tf_resflow.benchmarking import studies


def _pixels(path):
  return tf.io.decode_png(path.read_bytes(), channels=3).numpy()


def test_scaling(tmp_path):
  model = studies.CostModel(0.0, 0.0, 1.0, 0.0)
  sweeps = {
      name: [(v, studies.Measurement(v, operations.StepWork(0, v, 0)))
             for v in (1, 2, 4)] for name in ('batch', 'hidden width')}
  figures.save_scaling(tmp_path / 'a.png', sweeps, model)
  # Curves that miss the points look otherwise.
  figures.save_scaling(
      tmp_path / 'b.png', sweeps, studies.CostModel(1.0, 0.0, 1.0, 0.0))
  a, b = _pixels(tmp_path / 'a.png'), _pixels(tmp_path / 'b.png')
  assert a.shape[0] > 200 and a.shape[1] > 400
  assert a.shape != b.shape or np.any(a != b)


def test_memory(tmp_path):
  images = []
  for peak in (1.0, 2.0):
    figures.save_memory(
        tmp_path / 'm.png', {'recompute': {10: 1.0, 40: 1.0},
                             'naive': {10: 2.0, 40: peak}}, 0.5, 'title')
    images.append(_pixels(tmp_path / 'm.png'))
  assert images[0].shape[0] > 200 and np.any(images[0] != images[1])
