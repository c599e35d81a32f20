"""Known costs and laws are recovered, from measurements that are made up.

Every task in a process of its own.
"""

import itertools
import sys

import numpy as np
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
_SCRIPT = """import json, os, sys
task = sys.argv[-1].removeprefix('--worker=')
if task == 'bad':
  sys.exit('first\\nno memory left')
if task == 'large':
  os.kill(os.getpid(), 9)
print('noise')
print(json.dumps({task: sys.argv[1], f'{task}_process': os.getpid()}))
"""


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


def _measurements(costs, noise=0.0):
  rng = np.random.default_rng(0)
  measurements = []
  for blocks, batch, width in itertools.product((30, 90), (8, 64), (16, 128)):
    work = operations.StepWork(
        operations=batch * width**2 * blocks * 1000,
        hidden_entries=batch * width * blocks * 1000,
        block_evaluations=blocks)
    seconds = float(np.dot(costs, [
        1.0, work.block_evaluations, work.operations, work.hidden_entries]))
    measurements.append(studies.Measurement(
        seconds * (1.0 + noise * rng.normal()), work))
  return measurements


def test_known_costs_are_found():
  costs = [0.02, 1e-3, 5e-12, 3e-10]
  model = studies.fit_costs(_measurements(costs))
  np.testing.assert_allclose(
      [model.seconds_per_step, model.seconds_per_block_evaluation,
       model.seconds_per_operation, model.seconds_per_hidden_entry],
      costs, rtol=1e-6)


def test_costs_are_not_negative_and_noise_is_averaged():
  measurements = _measurements([0.0, 1e-3, 5e-12, 0.0], noise=0.02)
  model = studies.fit_costs(measurements)
  assert model.seconds_per_step >= 0 and model.seconds_per_hidden_entry >= 0
  for m in measurements:
    assert abs(model.seconds(m.work) / m.seconds - 1.0) < 0.08


def test_too_few_measurements():
  with pytest.raises(ValueError, match='3 of them: expected 4 or more'):
    studies.fit_costs(_measurements([1.0, 0.0, 0.0, 0.0])[:3])


def test_exponents():
  values = np.asarray([2.0, 4.0, 16.0])
  assert studies.exponent(values, 3.0 * values**1.5) == pytest.approx(1.5)
  assert studies.exponent(values, [2.0] * 3) == pytest.approx(0.0)


def test_reports_are_joined(tmp_path):
  script = tmp_path / 'script'
  script.write_text(_SCRIPT)
  seen = []
  values = studies.measure(
      [sys.executable, str(script), '--flag'], ['train', 'sample'], seen.append)
  assert seen == ['train', 'sample']
  assert (values['train'], values['sample']) == ('--flag', '--flag')
  assert values['train_process'] != values['sample_process']


@pytest.mark.parametrize('task, message', [
    ('bad', 'measuring bad ended with status 1: no memory left'),
    ('large', 'measuring large ended with status -9: it was killed, as the '
     'system does where memory is short')])
def test_failures_carry_their_reason(tmp_path, task, message):
  script = tmp_path / 'script'
  script.write_text(_SCRIPT)
  with pytest.raises(studies.MeasurementError, match=message):
    studies.measure([sys.executable, str(script)], [task])


def test_a_step_of_a_run_is_measured_by_its_flags(tmp_path):
  """The process is the tool `benchmark` with the flags of the run."""
  script = tmp_path / 'script'
  script.write_text("""import json, sys
(flagfile,) = [a for a in sys.argv if a.startswith('--flagfile=')]
with open(flagfile.partition('=')[2]) as file:
  print(json.dumps({'flags': file.read(), 'arguments': sys.argv[1:]}))
""")
  config = configuration.make_config(
      dataset='digits', num_blocks=(2, 1), estimator='fixed:40',
      memory='naive')
  lines = []
  values = studies.measure_step(
      [sys.executable, str(script)], config, num_repeats=3,
      progress_fn=lines.append)
  assert {'--estimator=fixed:40', '--memory=naive', '--num_blocks=2,1'} <= set(
      values['flags'].splitlines())
  assert values['arguments'][1:] == [
      '--tasks=train', '--num_repeats=3', '--worker=train']
  (line,) = lines
  assert 'images 8-8-1, blocks 2-1' in line and 'fixed:40' in line
