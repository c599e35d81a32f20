"""The cost model recovers known costs; exponents of known laws."""

import itertools

import numpy as np
import pytest

from tf_resflow.benchmarking import operations
from tf_resflow.benchmarking import scaling


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
    measurements.append(scaling.Measurement(
        seconds * (1.0 + noise * rng.normal()), work))
  return measurements


def test_known_costs_are_found():
  costs = [0.02, 1e-3, 5e-12, 3e-10]
  model = scaling.fit(_measurements(costs))
  np.testing.assert_allclose(
      [model.seconds_per_step, model.seconds_per_block_evaluation,
       model.seconds_per_operation, model.seconds_per_hidden_entry],
      costs, rtol=1e-6)


def test_costs_are_not_negative_and_noise_is_averaged():
  measurements = _measurements([0.0, 1e-3, 5e-12, 0.0], noise=0.02)
  model = scaling.fit(measurements)
  assert model.seconds_per_step >= 0 and model.seconds_per_hidden_entry >= 0
  for m in measurements:
    assert abs(model.seconds(m.work) / m.seconds - 1.0) < 0.08


def test_too_few_measurements():
  with pytest.raises(ValueError, match='3 of them: expected 4 or more'):
    scaling.fit(_measurements([1.0, 0.0, 0.0, 0.0])[:3])


def test_exponents():
  values = np.asarray([2.0, 4.0, 16.0])
  assert scaling.exponent(values, 3.0 * values**1.5) == pytest.approx(1.5)
  assert scaling.exponent(values, [2.0] * 3) == pytest.approx(0.0)
