"""bin/sample: pictures, arrays, what it reports and what it refuses."""

import shutil

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tests.commands import results
from tf_resflow import configuration
from tf_resflow import evaluation
from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.columns import rows as rows_lib
from tf_resflow.evaluation import pictures


def _pixels(path):
  return tf.io.decode_png(path.read_bytes()).numpy()


def test_contract(run_tool, digits_workdir, tmp_path):
  """The picture of the Python API."""
  output = tmp_path / 'grid.png'
  result = run_tool(
      'sample', f'--workdir={digits_workdir}', '--num_samples=9', '--seed=3',
      '--temperature=0.9', f'--output={output}')
  report = results.report(result)
  model, _ = training.workdir.restore_model(str(digits_workdir))
  expected = pictures.samples(model, 9, seed=3, temperatures=(0.9,))
  np.testing.assert_array_equal(
      _pixels(output),
      evaluation.plots.image_grid(expected.images, num_columns=3))
  assert (report['step'], report['num_samples'], report['seed'],
          report['temperature']) == (0, 9, 3, 0.9)
  for name, value in expected.report.items():
    assert report[name] == pytest.approx(value, rel=1e-4), name
  assert report['inverse_num_steps_max'] >= report['inverse_num_steps_mean'] > 1
  assert '\ninverse_num_steps_max ' in result.stderr


def test_temperatures_as_arrays(run_tool, digits_workdir, tmp_path):
  output = tmp_path / 'x.npz'
  report = results.report(run_tool(
      'sample', f'--workdir={digits_workdir}', '--num_samples=4',
      '--temperature=0,1', '--tolerance=1e-9', '--dtype=float64',
      '--batch_size=3', f'--output={output}'))
  assert report['temperature'] == [0.0, 1.0]
  assert report['inverse_residual_max'] < 1.1e-9
  stored = results.arrays(output)
  assert {name: array.shape for name, array in stored.items()} == {
      'x': (8, 8, 8, 1), 'image': (8, 8, 8, 1), 'z': (8, 64),
      'temperature': (8,)}
  assert stored['x'].dtype == np.float64
  assert np.all(stored['z'][:4] == 0.0)
  # The same draws as ever.
  model, _ = training.workdir.restore_model(
      str(digits_workdir), dtype='float64')
  np.testing.assert_array_equal(stored['z'][4:], model.draw_latents(4, seed=0))


def test_reconstructions(run_tool, digits_workdir, tmp_path):
  output = tmp_path / 'r.png'
  result = run_tool(
      'sample', f'--workdir={digits_workdir}', '--reconstruct',
      '--indices=5,3,350', f'--output={output}')
  report = results.report(result)
  assert report['num_images'] == 3 and report['num_images_changed'] == 0
  assert 0.0 < report['reconstruction_error_max'] < 1e-4
  assert 'reconstruction_error_max' in result.stderr
  pixels = _pixels(output)
  height = (len(pixels) - 8) // 2
  np.testing.assert_array_equal(pixels[:height], pixels[height:-8])


def test_interpolations(run_tool, digits_workdir, data_dir, tmp_path):
  output = tmp_path / 'i.npz'
  report = results.report(run_tool(
      'sample', f'--workdir={digits_workdir}', '--interpolate',
      '--num_samples=2', '--num_points=3', '--split=validation',
      f'--data_dir={data_dir}', f'--output={output}'))
  assert (report['num_pairs'], report['num_points']) == (2, 3)
  split = training.load_config(str(digits_workdir)).open_split('validation')
  stored = results.arrays(output)
  np.testing.assert_array_equal(stored['index'], [[0, 1], [2, 3]])
  np.testing.assert_array_equal(
      stored['image'][:, [0, 2]].reshape([4, 8, 8, 1]),
      evaluation.plots.levels_to_bytes(split.examples_at(range(4))['x'], 17))


def test_inverses_that_fail_are_an_error(run_tool, digits_workdir, tmp_path):
  result = run_tool(
      'sample', f'--workdir={digits_workdir}', '--max_steps=1',
      '--num_samples=5', f'--output={tmp_path}/x.png')
  assert result.status == 2
  (line,) = result.stderr.splitlines()
  assert line.startswith('sample: error: 5 of 5 examples in a batch did not c')
  assert not list(tmp_path.iterdir())


def test_pairs_of_columns(run_tool, table, tmp_path, monkeypatch):
  """Beside the rows of the table, unless it is gone."""
  output, path, shown = tmp_path / 'x.png', tmp_path / 'own.csv', []
  shutil.copy(table, path)
  config = configuration.make_config(
      dataset=f'table:{path}', num_blocks=1, hidden_units=(4,))
  model = config.model.build()
  model.initialize(config.open_split('train').arrays['x'])
  training.workdir.create_workdir(str(tmp_path / 'run'), config, model)
  original = evaluation.plots.pair_plot
  monkeypatch.setattr(evaluation.plots, 'pair_plot', lambda names, parts: (
      shown.append({name: len(x) for name, x in parts.items()}),
      original(names, parts))[1])
  for expected in ({'data': 64, 'samples': 10}, {'samples': 10}):
    report = results.report(run_tool(
        'sample', f'--workdir={tmp_path}/run', f'--output={output}',
        '--num_samples=10', '--overwrite'))
    assert report['num_samples'] == 10 and _pixels(output).shape[2] == 4
    assert shown.pop() == expected
    path.unlink(missing_ok=True)


def test_rows_are_written_batch_by_batch(
    run_tool, table_workdir, tmp_path, monkeypatch):
  """Those of one batch; the file appears whole, or not at all."""
  command = ['sample', f'--workdir={table_workdir}', '--num_samples=20',
             '--condition=0.5,-1', '--dtype=float64']
  whole = results.report(run_tool(*command, f'--output={tmp_path}/whole.csv'))
  parts = results.report(run_tool(
      *command, f'--output={tmp_path}/parts.csv', '--batch_size=8'))
  results.report(run_tool(
      *command, f'--output={tmp_path}/parts.parquet', '--batch_size=8'))
  names, rows = results.table(tmp_path / 'parts.csv')
  assert names == [*'abcd'] and rows.shape == (20, 4)
  flow = workflow.load(table_workdir, dtype='float64')
  expected = flow.sample_frame(20, [[0.5, -1.0]], seed=0)
  for found in (rows, results.table(tmp_path / 'whole.csv')[1]):
    np.testing.assert_allclose(found, expected, rtol=1e-8)
  for report in (whole, parts):
    assert report.pop('rows_per_second') > 0.0
    assert report.pop('output').startswith(str(tmp_path))
  assert parts == pytest.approx(whole, rel=1e-4)
  pd.testing.assert_frame_equal(
      pd.read_parquet(tmp_path / 'parts.parquet').astype(float),
      pd.read_csv(tmp_path / 'parts.csv').astype(float))
  calls, original = [], rows_lib.to_frame
  monkeypatch.setattr(rows_lib, 'to_frame', lambda *args: original(*args) if (
      calls.append(1) or len(calls) < 3) else 1 / 0)
  with pytest.raises(ZeroDivisionError):
    run_tool(*command, f'--output={tmp_path}/broken.csv', '--batch_size=8')
  assert {path.name for path in tmp_path.iterdir()} == {
      'whole.csv', 'parts.csv', 'parts.parquet'}


@pytest.mark.slow
def test_columns_that_are_given(run_tool, table_workdir, tmp_path):
  """By flags or in a table; those of the condition are among them."""
  arguments = ['sample', f'--workdir={table_workdir}', '--overwrite',
               f'--output={tmp_path}/x.csv']
  report = results.report(run_tool(
      *arguments, '--given=b=4.5..,a=0.5,c=-1', '--num_samples=6'))
  drawn = pd.read_csv(tmp_path / 'x.csv')
  assert report['num_rows'] == 6 and report['rank'] is None  # No number.
  assert [*drawn] == ['a', 'b', 'c', 'd'] and {*drawn['a']} == {0.5}
  assert drawn['b'].min() >= 4.5 and drawn['d'].nunique() == 6
  (tmp_path / 'gaps.csv').write_text('d,c,b,a\n1.5,-1,,0.5\n2,-1,5,1\n')
  results.report(run_tool(*arguments, f'--given={tmp_path}/gaps.csv'))
  filled = pd.read_csv(tmp_path / 'x.csv')
  assert [*filled] == ['d', 'c', 'b', 'a'] and filled['d'].tolist() == [1.5, 2]
  assert filled['b'].notna().all() and filled['b'][1] == 5


def test_bad_input(run_tool, digits_workdir, table_workdir, tmp_path):
  file = f'--output={tmp_path}/x.csv'
  table = [f'--workdir={table_workdir}', file, '--condition=1,2']
  results.check_errors(run_tool, 'sample', [
      (['--checkpoint=best'],
       f'--checkpoint=best does not exist in {digits_workdir}. Take latest, '),
      (['--interpolate', '--reconstruct'], '--reconstruct cannot be used with'),
      (['--indices=1'], '--indices requires --interpola'),
      (['--num_samples=1000000000000'], '--num_samples=1000000000000 needs '),
      ([file], f'{file}: expected a file .png or .npz for images'),
      ([*table, '--interpolate'], '--interpolate cannot be used with model=ve'),
      ([*table, '--temperature=0.5,1'], '--temperature=0.5,1.0: expected one '),
      ([*table[:2], '--given=b'], '--given=b: expected a table, or pairs '),
      ([*table[:2], '--given=b=1,e=2'], '--given=e: expected columns of the '),
      ([*table[:2], '--given=b=3..x'], '--given=b=3..x: expected ends such as'),
  ], f'--workdir={digits_workdir}', f'--output={tmp_path}/x.png')
  assert not list(tmp_path.iterdir())
