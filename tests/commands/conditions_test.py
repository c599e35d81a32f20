"""Conditions of samples and of given data: labels, numbers, files, none."""

import csv
import json

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import evaluation
from tf_resflow import training
from tf_resflow.commands import conditions
from tf_resflow.evaluation import pictures


def _report(result):
  assert result.status == 0, result.stderr
  return json.loads(result.stdout.splitlines()[-1])


def _arrays(path):
  with np.load(path) as stored:
    return {name: stored[name] for name in stored.files}


def _read_csv(path):
  with open(path, newline='', encoding='utf-8') as file:
    names, *rows = csv.reader(file)
  return names, np.array(rows, np.float64)


@pytest.fixture(scope='module', name='labelled')
def _labelled(labelled_workdir):
  return training.load_model(str(labelled_workdir))[0]


@pytest.fixture(scope='module', name='flow')
def _flow(table_workdir):
  return training.load_model(str(table_workdir))[0]


def test_all_labels_make_a_row_each(
    run_tool, labelled_workdir, labelled, tmp_path):
  command = ['sample', f'--workdir={labelled_workdir}', '--condition=all',
             '--num_samples=3', '--seed=2']
  picture, output = tmp_path / 'rows.png', tmp_path / 'rows.npz'
  report = _report(run_tool(*command, f'--output={picture}'))
  assert report['num_samples'] == 3
  _report(run_tool(*command, f'--output={output}'))
  found = _arrays(output)
  np.testing.assert_array_equal(
      found['condition'], np.repeat(np.arange(10), 3))
  # All of them from the same latents.
  z = labelled.draw_latents(3, 2).numpy()
  np.testing.assert_array_equal(found['z'], np.tile(z, [10, 1]))
  expected = pictures.samples(
      labelled, 3, seed=2, condition=np.repeat(np.arange(10), 3))
  np.testing.assert_allclose(found['x'], expected.arrays['x'], atol=1e-4)
  rows = found['x'].reshape([10, -1])
  assert len(np.unique(rows.round(2), axis=0)) == 10
  np.testing.assert_array_equal(
      tf.io.decode_png(picture.read_bytes()),
      evaluation.image_grid(found['image'], num_columns=3))


@pytest.mark.parametrize('flag, expected', [
    ('3', np.full(64, 3)), ('7,0', np.repeat([7, 0], 8))])
def test_labels(run_tool, labelled_workdir, tmp_path, flag, expected):
  output = tmp_path / 'x.npz'
  report = _report(run_tool(
      'sample', f'--workdir={labelled_workdir}', f'--condition={flag}',
      f'--output={output}'))
  np.testing.assert_array_equal(_arrays(output)['condition'], expected)
  assert report['num_samples'] == (64 if len(flag) == 1 else 8)


def test_a_file_with_one_label_per_sample(
    run_tool, labelled_workdir, labelled, tmp_path):
  labels = np.array([9, 0, 3, 3, 1])
  np.savez(tmp_path / 'c.npz', condition=labels)
  output = tmp_path / 'x.npz'
  report = _report(run_tool(
      'sample', f'--workdir={labelled_workdir}', f'--output={output}',
      f'--condition={tmp_path}/c.npz', '--temperature=0.7,1'))
  assert report['num_samples'] == 5
  found = _arrays(output)
  np.testing.assert_array_equal(found['condition'], np.tile(labels, 2))
  np.testing.assert_allclose(
      found['x'][5:], labelled.sample(5, 0, condition=labels), atol=1e-4)
  np.testing.assert_allclose(
      found['x'][:5], labelled.sample(5, 0, 0.7, labels), atol=1e-4)


def test_paths_have_one_condition(
    run_tool, labelled_workdir, labelled, tmp_path):
  output = tmp_path / 'x.npz'
  report = _report(run_tool(
      'sample', f'--workdir={labelled_workdir}', f'--output={output}',
      '--interpolate', '--condition=4', '--indices=0,1', '--num_points=3'))
  assert report['num_images_changed'] == 0
  found = _arrays(output)
  np.testing.assert_allclose(
      found['x'][0], labelled.inverse(np.float32(found['z'][0]), 4), atol=1e-4)


def test_images_are_reconstructed_with_their_own(
    run_tool, labelled_workdir, tmp_path):
  report = _report(run_tool(
      'sample', f'--workdir={labelled_workdir}', '--reconstruct',
      '--num_samples=6', f'--output={tmp_path}/x.png'))
  assert report['num_images_changed'] == 0


def test_numbers_and_the_columns_of_a_table(
    run_tool, table_workdir, flow, tmp_path):
  """Conditions stand behind the samples, and are read from there again."""
  output, again = tmp_path / 'x.csv', tmp_path / 'again.csv'
  command = ['sample', f'--workdir={table_workdir}']
  _report(run_tool(*command, '--condition=-1.5,2', '--num_samples=6',
                   f'--output={output}'))
  names, rows = _read_csv(output)
  # In the order of --condition of the run.
  assert names == ['b', 'd', 'c', 'a']
  np.testing.assert_array_equal(rows[:, 2:], np.tile([-1.5, 2.0], [6, 1]))
  np.testing.assert_allclose(
      rows[:, :2], flow.sample(6, 0, condition=[-1.5, 2.0]), rtol=1e-4)
  other = flow.sample(6, 0, condition=[2.0, -1.5])
  assert np.abs(other - rows[:, :2]).max() > 1e-2

  given = tmp_path / 'given.csv'
  evaluation.write_table(given, ['a', 'other', 'c'], [[1, 2, 3], [4, 5, 6]])
  report = _report(run_tool(
      *command, f'--condition={given}', f'--output={again}'))
  assert report['num_samples'] == 2
  _, rows = _read_csv(again)
  np.testing.assert_array_equal(rows[:, 2:], [[3, 1], [6, 4]])
  np.testing.assert_allclose(
      rows[:, :2], flow.sample(2, 0, condition=[[3.0, 1.0], [6.0, 4.0]]),
      rtol=1e-4)
  np.savez(tmp_path / 'c.npz', condition=[[3.0, 1.0], [6.0, 4.0]])
  output = tmp_path / 'x.npz'
  _report(run_tool(*command, f'--condition={tmp_path}/c.npz',
                   f'--output={output}'))
  np.testing.assert_allclose(_arrays(output)['x'], rows[:, :2], rtol=1e-6)


def test_the_picture_of_a_density(run_tool, table_workdir, tmp_path):
  command = ['sample', f'--workdir={table_workdir}', '--num_samples=100']
  pixels = []
  for condition in ('0,0', '-2,1'):
    path = tmp_path / f'{condition}.png'
    _report(run_tool(*command, f'--condition={condition}', f'--output={path}'))
    pixels.append(tf.io.decode_png(path.read_bytes()).numpy())
  assert np.any(pixels[0] != pixels[1])


def test_labels_of_vectors_stand_beside_them(
    run_tool, vectors_workdir, tmp_path):
  output = tmp_path / 'x.csv'
  _report(run_tool(
      'sample', f'--workdir={vectors_workdir}', '--condition=all',
      '--num_samples=2', f'--output={output}'))
  names, rows = _read_csv(output)
  assert names == ['x0', 'x1', 'condition']
  np.testing.assert_array_equal(rows[:, 2], [0, 0, 1, 1, 2, 2])
  # What was written is what bin/evaluate reads.
  report = _report(run_tool(
      'evaluate', f'--workdir={vectors_workdir}', f'--inputs={output}',
      f'--output={tmp_path}/y.npz'))
  model, _ = training.load_model(str(vectors_workdir), dtype='float64')
  expected = model.log_prob(
      rows[:, :2], rows[:, 2].astype(int), estimator='exact')
  np.testing.assert_allclose(
      _arrays(tmp_path / 'y.npz')['log_prob'], expected, rtol=1e-6)
  assert report['nats'] == pytest.approx(-np.mean(expected))
  for wrong in ('0.5', '3.0', '-1.0'):
    path = tmp_path / 'wrong.csv'
    path.write_text(f'x0,x1,condition\n0.5,0.5,1.0\n0.1,0.2,{wrong}\n')
    result = run_tool(
        'evaluate', f'--workdir={vectors_workdir}', f'--inputs={path}')
    assert result.status == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        f'evaluate: error: --inputs={path}: expected a .csv file whose column '
        'condition has labels [B], whole numbers from 0 to 2'), line


_LABELS = 'expected labels from 0 to 9, all, or a file .npz.'
_NUMBERS = 'expected numbers [B, 2], c, a, or a file .npz or .csv.'


@pytest.mark.parametrize('flags, said', [
    ([], '--condition is missing. The flow of this run is p(x|c): labels from '
     '0 to 9, all, or a file .npz.'),
    (['--interpolate'], '--condition is missing. The flow of this run is p('),
    *[([f'--condition={wrong}'], f'--condition={wrong}: {_LABELS}')
      for wrong in ('10', '-1', '1,10', '1.5', 'one', '1,', 'c.csv')],
    (['--condition=/none.npz'], '--condition=/none.npz: expected an .npz file'),
    (['--condition={wrong}'], '--condition={wrong}: expected an .npz file with '
     'an array condition, labels [B], whole numbers from 0 to 9'),
    (['--condition={right}', '--num_samples=3'],
     '--num_samples=3: expected no such flag with a file of conditions'),
    (['--condition=0,1', '--temperature=0.5,1'],
     '--temperature=0.5,1.0: expected one number with several labels'),
    (['--condition=0,1', '--interpolate'],
     '--condition=0,1: expected one condition with --interpolate'),
    (['--condition=3', '--reconstruct'],
     '--condition=3: expected no such flag with --reconstruct'),
])
def test_what_is_no_label(run_tool, labelled_workdir, tmp_path, flags, said):
  names = {'wrong': tmp_path / 'wrong.npz', 'right': tmp_path / 'right.npz'}
  np.savez(names['wrong'], condition=np.zeros([3, 1], int))
  np.savez(names['right'], condition=np.zeros(3, int))
  result = run_tool(
      'sample', f'--workdir={labelled_workdir}', f'--output={tmp_path}/x.png',
      *(flag.format(**names) for flag in flags))
  assert (result.status, result.stdout) == (2, '')
  (line,) = result.stderr.splitlines()
  assert line.startswith(f'sample: error: {said.format(**names)}'), line
  assert not (tmp_path / 'x.png').exists()


@pytest.mark.parametrize('flags, said', [
    ([], '--condition is missing. The flow of this run is p(x|c): numbers [B, '
     '2], c, a, or a file .npz or .csv.'),
    *[([f'--condition={wrong}'], f'--condition={wrong}: {_NUMBERS}')
      for wrong in ('1.0', '1,2,3', '1,nan', 'all', '1,x')],
    (['--condition={wrong}'], '--condition={wrong}: expected a .csv file of '
     'numbers with the columns c, a. It has no c.'),
    (['--condition={array}'], '--condition={array}: expected an .npz file with '
     'an array condition, numbers [B, 2], c, a'),
    (['--condition={two}', '--output={png}'], '--condition={two}: expected one '
     'condition with .png of vectors'),
])
def test_what_are_no_such_numbers(
    run_tool, table_workdir, tmp_path, flags, said):
  names = {name: tmp_path / name for name in ('wrong.csv', 'two.csv')}
  names = {path.stem: path for path in names.values()} | {
      'array': tmp_path / 'array.npz', 'png': tmp_path / 'x.png'}
  names['wrong'].write_text('a,b\n1,2\n')
  names['two'].write_text('a,c\n1,2\n3,4\n')
  np.savez(names['array'], condition=np.zeros([3, 3]))
  result = run_tool(
      'sample', f'--workdir={table_workdir}', f'--output={tmp_path}/x.csv',
      *(flag.format(**names) for flag in flags))
  assert result.status == 2
  line = result.stderr.splitlines()[-1]
  assert line.startswith(f'sample: error: {said.format(**names)}'), line
  assert not (tmp_path / 'x.csv').exists()
  assert not (tmp_path / 'x.png').exists()


def test_a_flow_without_conditions(run_tool, digits_workdir, tmp_path):
  result = run_tool(
      'sample', f'--workdir={digits_workdir}', f'--output={tmp_path}/x.png',
      '--condition=3')
  assert result.status == 2
  (line,) = result.stderr.splitlines()
  assert line.startswith(
      'sample: error: --condition=3: expected no such flag with a flow that '
      'takes no condition. Train with --condition for p(x|c).'), line


def test_who_classifies(labelled, flow, digits_workdir):
  plain, _ = training.load_model(str(digits_workdir))
  assert conditions.has_labels(labelled)
  assert not conditions.has_labels(flow) and not conditions.has_labels(plain)
  # 64 dimensions: exact, so by default.
  for asked, expected in ((None, True), (True, True), (False, False)):
    assert conditions.should_classify(labelled, asked) == expected
    assert not conditions.should_classify(flow, asked)


def _line(result):
  assert result.status == 2
  return result.stderr.splitlines()[-1]


def test_images_with_their_conditions(run_tool, labelled_workdir, tmp_path):
  x = np.random.default_rng(0).uniform(size=[3, 8, 8, 1])
  labels = np.array([7, 0, 3])
  command = ['evaluate', f'--workdir={labelled_workdir}', '--estimator=exact']
  found = []
  for name, given in (('own', labels), ('other', labels[::-1])):
    path, output = tmp_path / f'{name}.npz', tmp_path / f'{name}_y.npz'
    np.savez(path, x=x, condition=given)
    report = _report(run_tool(
        *command, f'--inputs={path}', f'--output={output}'))
    assert report['reconstruction_error_max'] < 1e-6
    found.append(_arrays(output))
  model, _ = training.load_model(str(labelled_workdir), dtype='float64')
  np.testing.assert_allclose(
      found[0]['log_prob'], model.log_prob(x, labels, estimator='exact'),
      rtol=1e-9)
  # The second one has the same label in both.
  difference = np.abs(found[0]['log_prob'] - found[1]['log_prob'])
  assert difference[1] == 0.0 and difference[[0, 2]].min() > 1e-3


def test_tables_with_their_conditions(
    run_tool, table_workdir, table, tmp_path):
  output = tmp_path / 'y.csv'
  report = _report(run_tool(
      'evaluate', f'--workdir={table_workdir}', f'--inputs={table}',
      f'--output={output}'))
  with open(output, newline='', encoding='utf-8') as file:
    names, *rows = csv.reader(file)
  assert names == [*'abcd', 'log_prob', 'log_prob_deviation']
  rows = np.array(rows, np.float64)
  model, _ = training.load_model(str(table_workdir), dtype='float64')
  expected = model.log_prob(
      rows[:, [1, 3]], rows[:, [2, 0]], estimator='exact')
  np.testing.assert_allclose(rows[:, 4], expected, rtol=1e-7)
  assert report['nats'] == pytest.approx(-np.mean(expected))
  wrong = model.log_prob(rows[:, [1, 3]], rows[:, [0, 2]], estimator='exact')
  assert np.abs(wrong - expected).max() > 1e-2
  # As arrays as well.
  np.savez(tmp_path / 'x.npz', x=rows[:, [1, 3]], condition=rows[:, [2, 0]])
  again = _report(run_tool(
      'evaluate', f'--workdir={table_workdir}',
      f'--inputs={tmp_path}/x.npz', f'--output={tmp_path}/y.npz'))
  assert again['nats'] == pytest.approx(report['nats'])
  np.testing.assert_allclose(
      _arrays(tmp_path / 'y.npz')['log_prob'], expected, rtol=1e-7)


@pytest.mark.parametrize('condition, said', [
    (None, 'an .npz file with an array condition, labels [B], whole numbers '
     'from 0 to 9. Its arrays are x.'),
    ([0, 1, 10], 'an .npz file with an array condition, labels [B], whole '
     'numbers from 0 to 9. Its condition lies in [0, 10].'),
    ([[0], [1], [2]], 'an .npz file with an array condition, labels [B]'),
    ([0, 1], 'a file with as many conditions as examples, 3. It has 2.'),
    ([5], 'a file with as many conditions as examples, 3. It has 1.'),
    (5, 'an .npz file with an array condition, labels [B]')])
def test_given_conditions_that_do_not_suit(
    run_tool, labelled_workdir, tmp_path, condition, said):
  path = tmp_path / 'x.npz'
  arrays = {} if condition is None else {'condition': condition}
  np.savez(path, x=np.zeros([3, 8, 8, 1]), **arrays)
  line = _line(run_tool(
      'evaluate', f'--workdir={labelled_workdir}', f'--inputs={path}'))
  assert line.startswith(
      f'evaluate: error: --inputs={path}: expected {said}'), line


def test_a_table_without_the_columns(run_tool, table_workdir, tmp_path):
  path = tmp_path / 'x.csv'
  path.write_text('a,b,d\n1,2,3\n')
  line = _line(run_tool(
      'evaluate', f'--workdir={table_workdir}', f'--inputs={path}'))
  assert line.startswith(
      f'evaluate: error: --inputs={path}: expected a .csv file of numbers '
      'with the columns c, a. It has no c.'), line
