"""Stored runs of earlier versions give the numbers that they gave then.

See `records.py`. Processors round differently, so numbers agree up to 1e-5
relative to the largest, losses of training up to 1e-4.
"""

import dataclasses
import shutil

import numpy as np
import pytest

from tests import records
from tf_resflow.models import model_config


def _each(arguments, cases, *fast):
  """Runs a test for all cases; those that are not called fast are slow."""
  named = {'-'.join([stored.name, *rest]): (stored, *rest)
           for stored, *rest in cases}
  return pytest.mark.parametrize(arguments, [
      pytest.param(*case, id=name, marks=[pytest.mark.slow] * (
          not name.startswith(fast))) for name, case in named.items()])


@pytest.fixture(name='run')
def run_fixture(run_tool):
  """Returns `run(tool, *arguments)`."""

  def run(*arguments):
    result = run_tool(*arguments)
    assert result.status == 0, result.stderr
    return result.stdout

  return run


def _assert_close(found, stored, rtol=1e-5):
  """Compares with all numbers of a record that have the same labels."""
  labels = {f'{stored.name}.{name.partition(".")[0]}' for name in found}
  with np.load(stored.record / 'numbers.npz') as arrays:
    expected = {name.removeprefix(f'{stored.name}.'): arrays[name]
                for name in arrays if '.'.join(name.split('.')[:2]) in labels}
  assert expected
  for name, value in expected.items():
    if value.dtype.kind == 'U':
      assert found[name].tolist() == value.tolist(), name
    else:
      np.testing.assert_allclose(
          found[name], value, rtol=0, err_msg=name,
          atol=rtol * np.abs(value[np.isfinite(value)]).max())


@_each('stored, file', [
    (stored, file) for name, stored in records.RUNS.items()
    for file in stored.commands
    # What averages are made of does not depend on the model.
    if file != 'averages.npz' or name in ('density', 'labels')],
       'table-', 'types-s', 'types-d')
def test_numbers(stored, file, run, tmp_path):
  workdir = records.copy(stored, tmp_path)
  _assert_close(records.measure(run, stored, workdir, file), stored)


# That exports compute what their runs do is the subject of tests/serving.
@_each('stored', [(records.RUNS[name],)
                  for name in ('hybrid', 'table', 'converted')])
def test_exported_log_prob(stored, run, tmp_path):
  workdir = records.copy(stored, tmp_path)
  _assert_close(records.measure_export(run, stored, workdir), stored)


@_each('stored', zip(records.RUNS.values()), 'table')
def test_two_more_steps(stored, run, tmp_path):
  """They are those of then, with what was fitted to the data then."""
  workdir = records.copy(stored, tmp_path)
  before = model_config.load(workdir / 'model.json')
  _assert_close(records.measure_steps(run, stored, workdir), stored, rtol=1e-4)
  after = model_config.load(workdir / 'model.json')
  changed = [field.name for field, _ in after.changes(before)]
  # What was converted had no data.
  assert changed == ['data_fingerprint'] * (stored.name == 'converted')


@_each('stored', zip(records.TRAINED.values()), *records.TRAINED)
def test_changed_tables_are_refused(stored, run_tool, tmp_path):
  stored = dataclasses.replace(stored, record=shutil.copytree(
      stored.record, tmp_path / 'record'))
  for table in stored.record.glob('*.csv'):
    table.write_text(f'{table.read_text().strip()}1\n')  # One more digit.
  workdir = records.copy(stored, tmp_path)
  refused = run_tool(
      'train', f'--flagfile={workdir}/run.flags', f'--workdir={workdir}',
      *stored.further)
  assert refused.status == 2
  assert 'has changed since the run began' in refused.stderr


def test_keras_file():
  stored = records.StoredRun({}, name='keras')
  found = records.keras_log_prob(records.KERAS_FILE)
  _assert_close({'log_prob': found}, stored)
