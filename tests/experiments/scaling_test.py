"""Known times and powers are recovered, from measurements that are made up."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow.experiments import scaling
from tf_resflow.specs import registries

_CONFIG = configuration.make_config(
    dataset='digits', num_blocks=(1, 1), hidden_channels=4,
    num_dense_blocks=1, dense_hidden_units=4, batch_size=4, resize=8)
_MODES = registries.MEMORY_MODES.names()
# By step, evaluation of a block, operation, hidden entry.
_TIMES = [0.02, 1e-3, 5e-9, 3e-8]


@pytest.fixture(autouse=True)
def _few_sweeps(monkeypatch):
  """The first value of each is that of the base."""
  monkeypatch.setattr(scaling, 'SWEEPS', {
      name: (field, {'num_blocks': (1, 2), 'resize': (8, 16)}.get(
          field, (4, 8))) for name, (field, _) in scaling.SWEEPS.items()})


class _Machine:
  """Takes what the costs say, and remembers what it was asked."""

  def __init__(self, costs, noise=0.0):
    self.asked, self._costs, self._noise = [], costs, noise
    self._rng = np.random.default_rng(0)

  def measure(self, config):
    assert config not in self.asked
    self.asked.append(config)
    num_terms = benchmarking.tasks.fixed_num_terms(config)
    work = benchmarking.tasks.step_work(
        config.model.build(), config.optimizer.batch_size, num_terms)
    seconds = np.dot(self._costs, [1.0, *work])
    return {'train_step_s': seconds * (1.0 + self._noise * self._rng.normal()),
            'work': work._asdict(), 'peak_memory_gb': (
                _MODES.index(config.model.memory) + 0.01 * num_terms)}


def _pixels(path):
  return tf.io.decode_png(path.read_bytes(), channels=3).numpy()


def test_known_costs_are_found(tmp_path):
  machine = _Machine(_TIMES)
  report = scaling.study_time(_CONFIG, machine.measure, tmp_path / 'a.png')
  # Each of the five sweeps has the base and one more.
  assert len(machine.asked) == 6
  assert report['fit_error_max'] < 1e-6
  np.testing.assert_allclose(
      list(report['time_model'].values()), _TIMES, rtol=1e-5)
  assert list(report['train_step_s']['terms n']) == [4, 8]
  # Where all is one operation after the other, time goes by these.
  report = scaling.study_time(
      _CONFIG, _Machine([0, 0, 1e-9, 0]).measure, tmp_path / 'b.png')
  assert report['exponents']['batch'] == pytest.approx(1.0)
  # (8 + 7) / (4 + 7) of the time at twice the terms.
  seconds = list(report['train_step_s']['terms n'].values())
  assert seconds[1] / seconds[0] == pytest.approx(15 / 11)
  a, b = _pixels(tmp_path / 'a.png'), _pixels(tmp_path / 'b.png')
  assert a.shape[0] > 200 and a.shape[1] > 800
  assert a.shape != b.shape or np.any(a != b)


def test_costs_are_not_negative_and_noise_is_averaged(tmp_path):
  report = scaling.study_time(
      _CONFIG, _Machine([0.0, 1e-3, 5e-9, 0.0], noise=0.02).measure,
      tmp_path / 'a.png')
  assert min(report['time_model'].values()) >= 0.0
  assert report['fit_error_max'] < 0.08


def test_memory(tmp_path):
  report = scaling.study_memory(
      _CONFIG, _Machine(_TIMES).measure, tmp_path / 'm.png')
  peaks = report['peak_memory_gb']
  assert list(peaks) == list(_MODES) and report['imports_gb'] > 0.1
  assert peaks['naive'] == {10: pytest.approx(3.1), 40: pytest.approx(3.4)}
  image = _pixels(tmp_path / 'm.png')
  assert image.shape[0] > 200 and image.std() > 0
