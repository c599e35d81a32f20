"""Conditions of samples and of given data: labels, numbers, files, none."""

import types

import numpy as np
import pytest

from tests import loops
from tests import schemas
from tests import splits
from tests.commands import results
from tf_resflow import layers
from tf_resflow import training
from tf_resflow.columns import schema as schema_lib
from tf_resflow.commands import conditions


@pytest.fixture(scope='module', name='labelled')
def _labelled(labelled_workdir):
  return training.workdir.restore_model(str(labelled_workdir))[0]


@pytest.fixture(scope='module', name='flow')
def _flow(table_workdir):
  return training.workdir.restore_model(str(table_workdir))[0]


def test_paths_have_one_condition(
    run_tool, labelled_workdir, labelled, tmp_path):
  output = tmp_path / 'x.npz'
  report = results.report(run_tool(
      'sample', f'--workdir={labelled_workdir}', f'--output={output}',
      '--interpolate', '--condition=4', '--indices=0,1', '--num_points=3'))
  assert report['num_images_changed'] == 0
  found = results.arrays(output)
  np.testing.assert_allclose(
      found['x'][0], labelled.inverse(np.float32(found['z'][0]), 4), atol=1e-4)


def test_numbers_and_the_columns_of_a_table(
    run_tool, table_workdir, flow, tmp_path):
  """In the order of the columns of the data, and read from there again."""
  output, again = tmp_path / 'x.csv', tmp_path / 'again.csv'
  command = ['sample', f'--workdir={table_workdir}']
  results.report(run_tool(
      *command, '--condition=-1.5,2', '--num_samples=6', f'--output={output}'))
  names, rows = results.table(output)
  assert names == ['a', 'b', 'c', 'd']
  # In the order of --condition_on of the run, c and a.
  np.testing.assert_array_equal(rows[:, [2, 0]], np.tile([-1.5, 2.0], [6, 1]))
  np.testing.assert_allclose(
      rows[:, [1, 3]], flow.sample(6, [-1.5, 2.0], seed=0), rtol=1e-4)
  other = flow.sample(6, [2.0, -1.5], seed=0)
  assert np.abs(other - rows[:, [1, 3]]).max() > 1e-2

  given = tmp_path / 'given.csv'
  splits.write_table(given, ['a', 'other', 'c'], [[1, 2, 3], [4, 5, 6]])
  report = results.report(run_tool(
      *command, f'--condition={given}', f'--output={again}'))
  assert report['num_samples'] == 2
  _, rows = results.table(again)
  np.testing.assert_array_equal(rows[:, [2, 0]], [[3, 1], [6, 4]])
  np.testing.assert_allclose(
      rows[:, [1, 3]], flow.sample(2, [[3.0, 1.0], [6.0, 4.0]], seed=0),
      rtol=1e-4)
  # As many as asked for, of whole rows that are drawn.
  given.write_text(given.read_text() + ',2,7\n')
  results.report(run_tool(
      *command, f'--condition={given}', '--num_samples=40', '--overwrite',
      f'--output={again}'))
  _, rows = results.table(again)
  assert len(rows) == 40 and {*map(tuple, rows[:, [2, 0]])} == {(3, 1), (6, 4)}


def test_files_of_vectors(run_tool, vectors_workdir, tmp_path):
  """A picture of one density; labels stand beside the numbers."""
  for name, condition in (('x.png', '1'), ('x.csv', 'all'), ('x.npz', 'all')):
    results.report(run_tool(
        'sample', f'--workdir={vectors_workdir}', f'--condition={condition}',
        '--num_samples=2', f'--output={tmp_path / name}'))
  assert (tmp_path / 'x.png').exists()
  names, rows = results.table(tmp_path / 'x.csv')
  assert names == ['x0', 'x1', 'condition']
  np.testing.assert_allclose(
      rows[:, :2], results.arrays(tmp_path / 'x.npz')['x'], rtol=1e-6)
  np.testing.assert_array_equal(rows[:, 2], [0, 0, 1, 1, 2, 2])


_LABELS = layers.ConditionSpec((), 10)
_NUMBERS = layers.ConditionSpec((2,))
_CITIES = layers.ConditionSpec((3,))
_SCHEMAS = {
    _LABELS: schema_lib.Schema.unnamed(2).with_columns([
        schema_lib.Column(role='condition')]),
    _NUMBERS: schemas.make_schema(
        'x', 'y', conditions=['c', 'a'], condition_mean=(0.5, 1.25),
        condition_std=(1.0, 1.0)),
    _CITIES: schemas.make_schema(
        'x', 'y', conditions=[('city', ('Oslo', 'Rome')), 'a'],
        condition_mean=(0.6, 0.4, 1.25), condition_std=(1.0, 1.0, 1.0))}


def _flow_of(spec):
  return types.SimpleNamespace(
      condition_spec=spec, schema=_SCHEMAS[spec], config=_config_of(spec))


def _config_of(spec):
  return types.SimpleNamespace(schema=_SCHEMAS[spec], condition_labels=0)


_NO_LABEL = 'expected labels from 0 to 9, all, or an .npz file or table.'
_NO_NUMBERS = 'expected c,a, such as 0.5,1.25, or an .npz file or table.'


def test_what_is_no_condition(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  np.savez('own.npz', condition=np.zeros([3, 1], int))
  (tmp_path / 'own.csv').write_text('a,b\n1,2\n')

  @loops.each([
      (_LABELS, None, 'condition is missing. The flow of this run is p'),
      (_NUMBERS, None, 'condition is missing. The flow of this run is p'),
      *[(_LABELS, wrong, f'condition={wrong}: {_NO_LABEL}')
        for wrong in ('10', '-1', '1,10', '1.5', 'one', '1,', '9' * 30)],
      *[(_NUMBERS, wrong, f'condition={wrong}: {_NO_NUMBERS}')
        for wrong in ('1.0', '1,2,3', '1,nan', 'all', '1,x')],
      (_LABELS, 'own.npz', 'condition=own.npz: expected an .npz file with an'),
      (_LABELS, 'own.csv', 'condition=own.csv: expected a table with'),
      (_NUMBERS, 'own.csv', 'condition=own.csv: expected a table with '
       'the columns c, a. It has no c.'),
      *[(_CITIES, wrong, f'condition={wrong}: expected city,a, such as Oslo,1.2'
         f'5, or an .npz file or table.{advice}') for wrong, advice in (
             ('oslo,1', ' Its column city: holds oslo, not one of Oslo, Rome'),
             ('Oslo', ''), ('Rome,x', ''), ('Rome,1,2', ''))]])
  def check(spec, condition, said):
    model = _flow_of(spec)
    with pytest.raises(ValueError) as info:
      conditions.Condition(condition=condition).read_conditions(model)
    assert str(info.value).startswith(said)

  check()


def test_a_file_with_one_label_per_sample(labelled, tmp_path):
  np.savez(tmp_path / 'c.npz', condition=[9, 0, 3])
  given = conditions.Condition(condition=f'{tmp_path}/c.npz')
  np.testing.assert_array_equal(given.read_conditions(labelled), [9, 0, 3])


def test_examples_of_conditions(labelled, flow, digits_workdir):
  given = conditions.Condition(
      condition=conditions.example(_config_of(_CITIES)))
  model = _flow_of(_CITIES)
  np.testing.assert_array_equal(
      given.read_conditions(model), [[1.0, 0.0, 1.25]])
  assert conditions.example(labelled.config) == 'all'
  config = training.load_config(str(digits_workdir))
  assert conditions.example(config.model) == ''
  c, a = map(float, conditions.example(flow.config).split(','))
  np.testing.assert_allclose(
      [c, a], flow.schema.moments('condition')[0], atol=5e-3)


def test_what_conditions_do_not_go_with(
    run_tool, labelled_workdir, table_workdir, digits_workdir, tmp_path):
  file, two, output = (
      tmp_path / name for name in ('c.npz', 'two.csv', 'x.png'))
  np.savez(file, condition=np.zeros(3, int))
  two.write_text('a,c\n1,2\n3,4\n')
  results.check_errors(run_tool, 'sample', [
      (['--condition=0,1', '--temperature=0.5,1'],
       '--temperature=0.5,1.0: expected one number with several labels'),
      (['--condition=0,1', '--interpolate'], '--condition=0,1: expected one c'),
      (['--condition=3', '--reconstruct'], '--condition cannot be used with -'),
      # A picture of a density shows one.
      ([f'--workdir={table_workdir}', f'--condition={two}'],
       f'--condition={two}: expected one condition with .png of 2-D data'),
      ([f'--workdir={digits_workdir}', '--condition=3'],
       '--condition cannot be used with an unconditional flow.'),
  ], f'--workdir={labelled_workdir}', f'--output={output}')
  assert not output.exists()
  np.savez(file, x=np.zeros([3, 8, 8, 1]), condition=[0, 1])
  results.check_error(run_tool(
      'score', f'--workdir={labelled_workdir}', f'--inputs={file}'),
      f'score: error: --inputs={file}: expected as many conditions as '
      'examples, 3. It has 2.')
