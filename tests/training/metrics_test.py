"""metrics.csv and event files, read back, also after kills and resumes."""

import contextlib
import csv
import json
import os
from unittest import mock
import urllib.error
import urllib.request

import numpy as np
import pytest
from tensorboard import program
import tensorflow as tf

from tests import splits
from tests.training import runs
from tf_resflow.training import metrics


def _rows(workdir):
  with open(workdir / 'metrics.csv', newline='') as file:
    return list(csv.reader(file))


def _write_run(workdir, first, last):
  """Writes steps, as a run does that goes on from before them."""
  with metrics.MetricsWriter(workdir, first - 1) as writer:
    for step in range(first, last + 1):
      writer.write(step, {'loss': 16.0 / step})


def test_calls_of_one_step_share_a_row(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(1, {'loss': tf.constant(3.0)})
    writer.write(2, {'loss': 2.123456})
    writer.write(2, {'test_loss': np.float64(2.25)})
    writer.write(2, {'loss': 2.0})  # shorter than what it replaces
    writer.write(3, {'loss': float('nan')})
    # They are there at once.
    assert _rows(tmp_path) == [['step', 'loss', 'test_loss'], ['1', '3.0', ''],
                               ['2', '2.0', '2.25'], ['3', 'nan', '']]
  with pytest.raises(ValueError, match='expected an open MetricsWriter'):
    writer.write(4, {'loss': 1.0})
  assert runs.points(tmp_path, 'test_loss') == [(2, 2.25)]
  columns = metrics.read_metrics(tmp_path)
  assert list(columns) == ['step', 'loss', 'test_loss']
  np.testing.assert_array_equal(list(columns.values()), [
      [1, 2, 3], [3.0, 2.0, np.nan], [np.nan, 2.25, np.nan]])
  assert list(metrics.read_metrics(tmp_path / 'none')) == ['step']


def test_a_long_file_is_not_read_for_every_row(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(1, {'loss': 3.0})
    writer.write(1, {'test_loss': 0.125})
    with mock.patch.object(metrics, '_read_csv', side_effect=AssertionError):
      writer.write(1, {'loss': 0.5})
      writer.write(2, {'loss': 2.0})
      writer.write(2, {'test_loss': 0.25})
      assert _rows(tmp_path)[1:] == [
          ['1', '0.5', '0.125'], ['2', '2.0', '0.25']]
  with metrics.MetricsWriter(tmp_path, 2) as writer:
    writer.write(2, {'loss': 1.0, 'new': 7})
    writer.write(3, {'test_loss': 1.5})
  assert _rows(tmp_path) == [
      ['step', 'loss', 'test_loss', 'new'], ['1', '0.5', '0.125', ''],
      ['2', '1.0', '0.25', '7'], ['3', '', '1.5', '']]


def test_resume_equals_a_run_that_was_never_killed(tmp_path):
  _write_run(tmp_path / 'undisturbed', 1, 9)
  for first, last in (1, 7), (6, 8), (6, 7), (8, 9):
    _write_run(tmp_path / 'resumed', first, last)
  assert _rows(tmp_path / 'resumed') == _rows(tmp_path / 'undisturbed')
  assert runs.points(tmp_path / 'resumed', 'loss') == [
      (i, np.float32(16.0 / i)) for i in range(1, 10)]
  assert sorted(os.listdir(tmp_path / 'resumed')) == [
      'metrics.csv', 'tensorboard']


@pytest.mark.slow
@pytest.mark.reliability(promise='doubled-points')
@pytest.mark.parametrize('is_fast', ['true', 'false'])
def test_both_loaders_of_tensorboard_show_every_step_once(tmp_path, is_fast):
  for first, last in (1, 7), (6, 8), (6, 7), (8, 9):
    _write_run(tmp_path / 'run', first, last)
  runs.number_events(tmp_path / 'run')
  server = program.TensorBoard()
  server.configure(argv=[
      'tensorboard', f'--logdir={tmp_path}', f'--load_fast={is_fast}',
      '--port=0', '--host=127.0.0.1'])
  # The server loads in the background; nothing says when it has.
  url = server.launch() + (
      'data/plugin/scalars/scalars?tag=loss&run=run%2Ftensorboard')
  found = []
  while not found or found[-1][1] < 9:
    with contextlib.suppress(urllib.error.HTTPError):
      found = json.load(urllib.request.urlopen(url))
  assert [point[1:] for point in found] == [
      [i, np.float32(16.0 / i)] for i in range(1, 10)]


def test_images_reach_tensorboard_and_the_picture(tmp_path):
  pictures = {}
  images = np.random.RandomState(0).rand(3, 4, 4, 1).astype(np.float32)
  with metrics.MetricsWriter(
      tmp_path, save_images_fn=pictures.__setitem__) as writer:
    writer.write_images(20, 'ema/samples', images)
  [(path, picture)] = pictures.items()
  assert path == str(tmp_path / 'samples' / 'ema_samples_00000020.png')
  assert (tmp_path / 'samples').is_dir()
  np.testing.assert_array_equal(picture, images)

  [(step, (width, height, *encoded))] = runs.points(
      tmp_path, 'ema/samples')
  assert (step, int(width), int(height), len(encoded)) == (20, 4, 4, 3)
  decoded = [tf.io.decode_png(e).numpy() for e in encoded]
  np.testing.assert_allclose(decoded, 255.0 * images, atol=1.0)


def test_bad_values_are_named_and_nothing_is_written(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(2, {'loss': 1.0})
    for step, values, message in (
        (1, {'loss': 1.0}, 'step=1: expected at least 2, the last'),
        (2, {'step': 1.0}, 'expected letters, digits, and'),
        (2, {'a,b': 1.0}, 'expected letters, digits, and'),
        (2, {'loss': [1.0, 2.0]}, 'one real number'),
        (2, {'loss': 'low'}, 'one real number'),
        (2, {'good': 1.0, 'loss': None}, 'one real number')):
      assert message in splits.refusal(writer.write, step, values)
    # Images are written, but without a `save_images_fn` to no picture.
    writer.write_images(2, 'samples', np.zeros([1, 2, 2, 3], np.uint8))
  assert _rows(tmp_path) == [['step', 'loss'], ['2', '1.0']]
  assert not runs.points(tmp_path, 'good')
  assert not (tmp_path / 'samples').exists()


_HEADER, *_ROWS = ('step,loss', *(f'{5 * i},0.{i}' for i in range(1, 9)))


@pytest.mark.parametrize('lines, left, said', [
    (_ROWS + ['45,0.'], _ROWS, 'corrupt lines (1, the first is line 10) are '
     'left out; a copy is kept as '),
    (_ROWS + ['\xff\xe4', 'x', '46', ''], _ROWS, '(3, the'),
    (_ROWS[:2] + ['15,abc'] + _ROWS[3:] + [''], _ROWS[:2] + _ROWS[3:],
     'line 4) are left'),
    # Of equal steps the last, in order, and none after the checkpoint.
    (_ROWS[:3] + ['900,1.0'] + _ROWS[3:] + [''], _ROWS, ''),
    (['5,7.0'] + _ROWS[:6] + _ROWS[2:] + [''], _ROWS, ''),
    (_ROWS + ['45,0.5', ''], _ROWS, '')])
@pytest.mark.reliability(promise='damaged-metrics')
def test_corrupt_rows_are_left_out_and_said(
    tmp_path, caplog, lines, left, said):
  path = tmp_path / 'metrics.csv'
  content = '\n'.join([_HEADER, *lines]).encode('latin-1')
  path.write_bytes(content)
  for _ in range(2):  # Later it is not said again.
    with metrics.MetricsWriter(tmp_path, 40) as writer:
      writer.write(45, {'loss': 0.5})
  assert path.read_text().splitlines() == [_HEADER, *left, '45,0.5']
  assert len(metrics.read_metrics(tmp_path)['loss']) == len(left) + 1
  kept = tmp_path / 'metrics.csv.damaged'
  assert len(caplog.records) == kept.exists() == bool(said)
  assert not said or (
      said in caplog.text and kept.read_bytes() == content)


def test_a_foreign_csv_is_kept_aside(tmp_path):
  path = tmp_path / 'metrics.csv'
  path.write_text('epoch,loss\n1,2.0\n')
  assert 'rows of numbers. It has corrupt lines (1, the first is line 1).' in (
      splits.refusal(metrics.read_metrics, tmp_path))
  with metrics.MetricsWriter(tmp_path, 3):
    pass
  assert path.read_text() == 'step\n'
  assert 'epoch' in (tmp_path / 'metrics.csv.damaged').read_text()


@pytest.mark.reliability(promise='links')
def test_a_pipe_is_no_csv(tmp_path):
  os.mkfifo(tmp_path / 'metrics.csv')
  assert 'expected a regular file. It is a pipe' in splits.refusal(
      metrics.MetricsWriter, tmp_path)


@pytest.mark.reliability(promise='doubled-points')
@pytest.mark.parametrize('step', [0, 2])
def test_a_step_is_written_again(tmp_path, step):
  """TensorBoard has it once, with what had been written besides."""
  image = np.zeros([1, 2, 2, 3], np.uint8)
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(step, {'loss': 0.1})
  for _ in range(2):
    with metrics.MetricsWriter(tmp_path, step, repeats_step=True) as writer:
      writer.write(step, {'test_loss': 3.0})
      writer.write_images(step, 'samples', image)
      writer.write(step + 1, {'loss': 0.2})
  assert _rows(tmp_path)[1:] == [
      [f'{step}', '0.1', '3.0'], [f'{step + 1}', '0.2', '']]
  for tag, steps in (('loss', [step, step + 1]), ('test_loss', [step]),
                     ('samples', [step])):
    assert [at for at, _ in runs.points(tmp_path, tag)] == steps
  assert runs.points(tmp_path, 'loss')[0][1] == np.float32(0.1)
