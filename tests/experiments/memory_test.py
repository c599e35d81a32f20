"""The peak memory of every mode, as processes report it, and its picture."""

import pytest
import tensorflow as tf

from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow.experiments import memory
from tf_resflow.specs import registries


def test_memory(tmp_path, monkeypatch):
  modes, said = registries.MEMORY_MODES.names(), []
  config = configuration.make_config(
      dataset='digits', num_blocks=(1,), hidden_channels=4)

  def measure(command, config, num_repeats):
    assert (command, num_repeats) == (['benchmark'], 0)
    num_terms = int(config.model.training_estimator().removeprefix('fixed:'))
    return {'peak_memory_gb': (
        modes.index(config.model.memory) + 0.01 * num_terms)}

  monkeypatch.setattr(benchmarking.report, 'measure_training', measure)
  report = memory.measure_memory(
      config, tmp_path / 'm.png', command=['benchmark'],
      progress_fn=said.append)
  peaks = report['peak_memory_gb']
  assert list(peaks) == list(modes) and report['imports_gb'] > 0.1
  assert peaks['naive'] == {10: pytest.approx(3.1), 40: pytest.approx(3.4)}
  assert said[0] == f'Measuring {modes[0]}, 10 terms ...'
  image = tf.io.decode_png((tmp_path / 'm.png').read_bytes(), 3).numpy()
  assert image.shape[0] > 200 and image.std() > 0
