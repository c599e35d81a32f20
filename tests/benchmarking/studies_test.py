"""Studies over a made-up measurement with known laws."""

import pytest

from tf_resflow import configuration
from tf_resflow.benchmarking import operations
from tf_resflow.benchmarking import studies
from tf_resflow.configuration import registries

_CONFIG = configuration.make_config(
    dataset='digits', num_blocks=(1, 1), hidden_channels=4,
    num_dense_blocks=1, dense_hidden_units=4, batch_size=4, num_steps=86400,
    resize=8)
_MODES = registries.MEMORY_MODES.names()


class _Machine:
  """Takes 1 ns per operation and remembers what it was asked."""

  def __init__(self):
    self.asked = []

  def measure(self, config):
    assert config not in self.asked
    self.asked.append(config)
    num_terms = operations.fixed_num_terms(config)
    work = operations.step_work(
        config.model.build(), config.optimizer.batch_size, num_terms)
    return {'train_step_s': 1e-9 * work.operations, 'work': work._asdict(),
            'peak_memory_gb': (
                _MODES.index(config.model.memory) + 0.01 * num_terms)}


def test_cost():
  machine = _Machine()
  study = studies.study_cost(
      _CONFIG, machine.measure, batch_sizes=[4, 8], hidden=[4, 8],
      blocks=[1, 2], image_sizes=[8, 16], terms=[4, 8])
  # Each of the five sweeps has the base and one more.
  assert len(machine.asked) == 6
  assert study.fit_error_max < 1e-6
  assert study.cost_model.seconds_per_operation == pytest.approx(1e-9)
  assert study.exponents['batch'] == pytest.approx(1.0)
  # (8 + 7) / (4 + 7) of the time at twice the terms.
  seconds = [m.seconds for _, m in study.sweeps['terms n']]
  assert seconds[1] / seconds[0] == pytest.approx(15 / 11)
  report = study.report()
  assert report['train_step_s']['terms n'] == dict(
      zip([4, 8], seconds, strict=True))


def test_memory():
  peaks = studies.study_memory(_CONFIG, _Machine().measure, [10, 40])
  assert list(peaks) == list(_MODES)
  assert peaks['naive'] == {10: pytest.approx(3.1), 40: pytest.approx(3.4)}


def test_prediction():
  work, rows = studies.predict_training(_CONFIG, [1, 4])
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
    studies.predict_training(_CONFIG.replace(estimator='adaptive'), [1])
