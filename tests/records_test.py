"""Stored runs of an earlier version give the numbers that they gave then.

See `records.py`. Processors round differently, so numbers agree up to 1e-5
relative to the largest, losses of training up to 1e-4.
"""

import numpy as np
import pytest

from tests import records


def _each(*fast):
  """Runs a test for all stored runs, of which some are fast enough."""
  return pytest.mark.parametrize('name', [
      name if name in fast else pytest.param(name, marks=pytest.mark.slow)
      for name in records.RUNS])


@pytest.fixture(name='numbers', scope='module')
def numbers_fixture():
  with np.load(records.RECORDS / 'numbers.npz') as arrays:
    return dict(arrays)


@pytest.fixture(name='run')
def run_fixture(run_tool, monkeypatch):
  """Returns `run(tool, *arguments)`, in the folder of the stored runs."""
  monkeypatch.chdir(records.RECORDS)

  def run(*arguments):
    result = run_tool(*arguments)
    assert result.status == 0, result.stderr

  return run


def _assert_close(found, numbers, name, rtol=1e-5):
  for key, value in found.items():
    expected = numbers[f'{name}.{key}']
    np.testing.assert_allclose(
        value, expected, rtol=0, atol=rtol * np.abs(expected).max(),
        err_msg=key)


@_each('table')
def test_log_prob_and_samples(name, run, numbers, tmp_path):
  found = records.measure_weights(run, records.copy(name, tmp_path), tmp_path)
  assert {'averages.log_prob', 'weights.log_prob', 'samples'} <= set(found)
  _assert_close(found, numbers, name)


@pytest.mark.slow
@pytest.mark.parametrize('name', [
    'hybrid', 'coupling', 'labels', 'table', 'converted'])
def test_exported_log_prob(name, run, numbers, tmp_path):
  found = records.measure_export(run, records.copy(name, tmp_path), tmp_path)
  assert 'exported.log_prob' in found
  _assert_close(found, numbers, name)


@_each('density', 'table')
def test_two_more_steps(name, run, numbers, tmp_path):
  found = records.measure_steps(run, records.copy(name, tmp_path))
  _assert_close(found, numbers, name, rtol=1e-4)


def test_keras_file(numbers):
  found = records.keras_log_prob(records.RECORDS / records.KERAS_FILE)
  _assert_close({'log_prob': found}, numbers, 'keras')
