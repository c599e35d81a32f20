"""metrics.csv and event files, read back, also after kills and resumes."""

import csv
import glob
import os
from unittest import mock

import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator
import tensorflow as tf

from tests import splits
from tf_resflow.training import metrics


def _rows(workdir):
  with open(workdir / 'metrics.csv', newline='') as file:
    return list(csv.reader(file))


def _event_files(workdir):
  """In the order in which this process wrote them, also within a second."""
  return sorted(
      glob.glob(str(workdir / 'tensorboard' / '*tfevents*')),
      key=lambda path: int(path.split('.')[-2]))  # ...SECONDS.HOST.PID.N.v2


def _scalars(workdir, name):
  """All (step, value) in the event files, straight from the records."""
  found = []
  for path in _event_files(workdir):
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
      event = tf.compat.v1.Event.FromString(record)
      for value in event.summary.value:
        if value.tag == name:
          found.append((event.step, float(tf.make_ndarray(value.tensor))))
  return found


def _read_by_tensorboard(workdir, tag):
  """Returns the events of a tag as TensorBoard itself reads them."""
  accumulator = event_accumulator.EventAccumulator(str(workdir / 'tensorboard'))
  accumulator.Reload()
  return accumulator.Tensors(tag)


def _write_run(workdir, first, last):
  """Writes steps, as a run does that goes on from before them."""
  with metrics.MetricsWriter(workdir, first - 1) as writer:
    for step in range(first, last + 1):
      writer.write(step, {'loss': 10.0 / step})


def test_scalars_reach_csv_and_tensorboard(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(1, {'loss': 2.5, 'num_images': 64})
    writer.write(3, {'loss': tf.constant(0.1), 'num_images': np.int64(192)})
  assert _rows(tmp_path) == [['step', 'loss', 'num_images'],
                             ['1', '2.5', '64'], ['3', '0.1', '192']]
  assert _scalars(tmp_path, 'loss') == [(1, 2.5), (3, pytest.approx(0.1))]
  events = _read_by_tensorboard(tmp_path, 'num_images')
  assert [e.step for e in events] == [1, 3]
  assert [tf.make_ndarray(e.tensor_proto) for e in events] == [64, 192]


def test_rows_are_on_file_before_close(tmp_path):
  writer = metrics.MetricsWriter(tmp_path)
  writer.write(1, {'loss': 1.0})
  assert _rows(tmp_path)[1:] == [['1', '1.0']]
  writer.flush()
  assert _scalars(tmp_path, 'loss') == [(1, 1.0)]
  writer.close()
  writer.close()
  with pytest.raises(ValueError, match='expected an open MetricsWriter'):
    writer.write(2, {'loss': 1.0})


def test_calls_of_one_step_share_a_row(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(1, {'loss': 3.0})
    writer.write(2, {'loss': 2.123456})
    writer.write(2, {'test_loss': 2.25})
    writer.write(2, {'loss': 2.0})  # shorter than what it replaces
    writer.write(3, {'loss': float('nan')})
  assert _rows(tmp_path) == [['step', 'loss', 'test_loss'], ['1', '3.0', ''],
                             ['2', '2.0', '2.25'], ['3', 'nan', '']]
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
  _write_run(tmp_path / 'whole', 1, 9)
  _write_run(tmp_path / 'resumed', 1, 7)
  _write_run(tmp_path / 'resumed', 6, 9)
  assert _rows(tmp_path / 'resumed') == _rows(tmp_path / 'whole')
  assert (_scalars(tmp_path / 'resumed', 'loss')
          == _scalars(tmp_path / 'whole', 'loss'))
  # No file is left but these.
  assert sorted(os.listdir(tmp_path / 'resumed')) == [
      'metrics.csv', 'tensorboard']
  assert all('tfevents' in name
             for name in os.listdir(tmp_path / 'resumed' / 'tensorboard'))


def test_every_start_adds_no_file(tmp_path):
  for step in range(1, 6):
    _write_run(tmp_path, step, step)
  assert len(_event_files(tmp_path)) == 2
  # They are in the order of names, here of files of one second.
  assert sorted(e.step for e in _read_by_tensorboard(tmp_path, 'loss')) == [
      1, 2, 3, 4, 5]


def test_resume_drops_half_a_line_and_half_an_event(tmp_path):
  _write_run(tmp_path, 1, 4)
  with open(tmp_path / 'metrics.csv', 'a') as file:
    file.write('5,0.')
  [path] = _event_files(tmp_path)
  os.truncate(path, os.path.getsize(path) - 3)
  _write_run(tmp_path, 5, 5)
  assert [row[0] for row in _rows(tmp_path)] == ['step', '1', '2', '3', '4',
                                                 '5']
  # The event of step 4 was the one cut short; its row survived.
  assert [step for step, _ in _scalars(tmp_path, 'loss')] == [1, 2, 3, 5]


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

  [event] = _read_by_tensorboard(tmp_path, 'ema/samples')
  width, height, *encoded = tf.make_ndarray(event.tensor_proto)
  assert (event.step, int(width), int(height), len(encoded)) == (20, 4, 4, 3)
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
    for images in (np.full([1, 2, 2, 1], np.nan), np.full([1, 2, 2, 1], 1.5),
                   np.zeros([2, 2, 1])):
      assert 'samples=' in splits.refusal(
          writer.write_images, 2, 'samples', images)
    # Good ones are written, but without a `save_images_fn` to no picture.
    writer.write_images(2, 'samples', np.zeros([1, 2, 2, 3], np.uint8))
  assert _rows(tmp_path) == [['step', 'loss'], ['2', '1.0']]
  assert _scalars(tmp_path, 'good') == []
  assert not (tmp_path / 'samples').exists()


_HEADER, *_ROWS = ('step,loss', *(f'{5 * i},0.{i}' for i in range(1, 9)))


@pytest.mark.parametrize('lines, left, said, is_kept', [
    # After the step of the checkpoint: what is damaged is written again.
    (_ROWS + ['45,0.'], _ROWS, 'damaged lines (10) are left out, their', False),
    (_ROWS + [bytes(40).decode(), ''], _ROWS, '(10) are left out, th', False),
    (_ROWS + ['\xff\xe4', 'x', '46', ''], _ROWS, '(10, 11, 12) are', False),
    # At or before it: the rows are lost, which is said; the file is kept.
    (_ROWS[:2] + ['15,abc'] + _ROWS[3:] + [''], _ROWS[:2] + _ROWS[3:],
     'rows of 1 steps are missing (15); damaged lines (4) are left out, kept',
     True),
    (_ROWS[:2] + ['15'] + _ROWS[3:] + [''], _ROWS[:2] + _ROWS[3:],
     'missing (15); damaged lines (4) are left', True),
    (_ROWS[:3] + ['900,1.0'] + _ROWS[3:] + [''], _ROWS, 'lines (5) are', True),
    (_ROWS[:6] + _ROWS[2:] + [''], _ROWS, 'lines (4, 5, 6, 7) are', True),
    (_ROWS[:-1] + ['40,0.'], _ROWS[:-1], 'missing (40); damaged lines (9)',
     True),
    # No line is damaged, but some are not there.
    (_ROWS[:3] + [''], _ROWS[:3], 'rows of 5 steps are missing (20, 25, ... '
     '40).', False),
    (_ROWS[:3] + ['x', 'y'] + _ROWS[5:] + [''], _ROWS[:3] + _ROWS[5:],
     'rows of 2 steps are missing (20, 25); damaged lines (5, 6) are', True),
    # A whole file is no loss.
    (_ROWS + ['45,0.5', ''], _ROWS, '', False)])
def test_damaged_rows_are_left_out_and_said(
    tmp_path, caplog, lines, left, said, is_kept):
  path = tmp_path / 'metrics.csv'
  content = '\n'.join([_HEADER, *lines]).encode('latin-1')
  path.write_bytes(content)
  for _ in range(2 if is_kept else 1):  # Later it is not said again.
    with metrics.MetricsWriter(tmp_path, 40, log_every=5) as writer:
      writer.write(45, {'loss': 0.5})
  assert path.read_text().splitlines() == [_HEADER, *left, '45,0.5']
  assert len(metrics.read_metrics(tmp_path)['loss']) == len(left) + 1
  assert said in caplog.text and bool(caplog.text) == bool(said)
  kept = tmp_path / 'metrics.csv.damaged'
  assert kept.exists() == is_kept and len(os.listdir(tmp_path)) == 2 + is_kept
  assert not is_kept or kept.read_bytes() == content


def test_another_log_every_is_no_loss(tmp_path, caplog):
  for i, (steps, log_every) in enumerate((
      ([1000, *range(1010, 1101, 10)], 10), ([20, 25, 30, 35, 40], 5),
      ([*range(5, 51, 5), 1000], 5), ([*range(5, 51, 5), 1000, 1005], 5),
      ([*range(5, 51, 5), 1000, 2000], 10), ([7, 10, 14, 20, 21, 28], 3),
      (range(5, 51, 5), 1000))):
    workdir = tmp_path / f'{i}'
    workdir.mkdir()
    (workdir / 'metrics.csv').write_text(
        'step\n' + ''.join(f'{step}\n' for step in steps))
    metrics.MetricsWriter(workdir, steps[-1], log_every=log_every).close()
  assert not caplog.text


def test_a_foreign_csv_is_kept_aside(tmp_path, caplog):
  path = tmp_path / 'metrics.csv'
  for i, content in enumerate((
      b'epoch,loss\n1,2.0\n', b'\xef\xbb\xbfstep,loss\n1,2.0\n', bytes(90)), 1):
    path.write_bytes(content)
    assert metrics.last_step(tmp_path) == 0
    assert 'expected rows of rising steps' in splits.refusal(
        metrics.read_metrics, tmp_path)
    metrics.MetricsWriter(tmp_path, 3, log_every=3).close()
    assert path.read_text() == 'step\n'
    kept = tmp_path / f'metrics.csv.damaged{f"-{i}" * (i > 1)}'
    assert kept.read_bytes() == content and str(kept) in caplog.text


def _records(path):
  """The places of the records of an event file."""
  data, ends = path.read_bytes(), [0]
  while ends[-1] < len(data):
    ends.append(ends[-1] + 16 + int.from_bytes(data[ends[-1]:][:8], 'little'))
  return list(zip(ends, ends[1:], strict=False))


@pytest.mark.parametrize('at, steps', [
    (20, [1, 2, 4, 5]), (-2, [1, 2, 4, 5]), (3, [1, 2])])
def test_a_damaged_event_loses_no_others(tmp_path, caplog, at, steps):
  """Where the length of a record is known, so is where the next one begins."""
  _write_run(tmp_path, 1, 5)
  path, = (tmp_path / 'tensorboard').iterdir()
  data, (start, end) = bytearray(path.read_bytes()), _records(path)[-3]
  data[start + at if at > 0 else end + at] ^= 16
  path.write_bytes(data)
  for _ in range(2):
    metrics.MetricsWriter(tmp_path, 5).close()
  assert [step for step, _ in _scalars(tmp_path, 'loss')] == steps
  assert [e.step for e in _read_by_tensorboard(tmp_path, 'loss')] == steps
  [record] = caplog.records
  lost = (end if 4 in steps else len(data)) - start
  assert f': {lost} bytes are damaged and left out; the' in record.message
  kept, = (tmp_path / 'tensorboard').glob('*.damaged')
  assert kept.read_bytes() == data


def test_a_record_that_is_no_event_is_left_out(tmp_path, caplog):
  _write_run(tmp_path, 1, 3)
  path, = (tmp_path / 'tensorboard').iterdir()
  with tf.io.TFRecordWriter(str(tmp_path / 'foreign')) as writer:
    writer.write(b'no event')
  path.write_bytes((tmp_path / 'foreign').read_bytes() + path.read_bytes())
  metrics.MetricsWriter(tmp_path, 3).close()
  assert [step for step, _ in _scalars(tmp_path, 'loss')] == [1, 2, 3]
  assert ': 24 bytes are damaged' in caplog.text


def test_only_own_event_files_are_touched(tmp_path):
  """No links, pipes, folders and copies, nor what a link is called."""
  _write_run(tmp_path / 'run', 1, 3)
  folder = tmp_path / 'run' / 'tensorboard'
  path, = folder.iterdir()
  others = [path.with_name(path.name.replace('.v2', end)) for end in (
      '.1.v2', '.2.v2', '.3.v2', '.v2.bak', '.v2 (copy)')]
  link, pipe, inside, *copies = others
  victim = tmp_path / 'victim'
  for copy in (victim, *copies):
    copy.write_bytes(path.read_bytes())
  link.symlink_to(victim)
  (folder / 'rewritten.tmp').symlink_to(victim)
  os.mkfifo(pipe)
  inside.mkdir()
  before = victim.read_bytes()
  _write_run(tmp_path / 'run', 3, 3)
  for copy in (victim, *copies):
    assert copy.read_bytes() == before
  for other in (*others, pipe, folder / 'rewritten.tmp'):
    os.rmdir(other) if other.is_dir() else other.unlink(missing_ok=True)
  assert [step for step, _ in _scalars(tmp_path / 'run', 'loss')] == [1, 2, 3]


def test_a_pipe_is_no_csv(tmp_path):
  os.mkfifo(tmp_path / 'metrics.csv')
  assert 'expected a regular file. It is a pipe' in splits.refusal(
      metrics.MetricsWriter, tmp_path)


def test_validation_of_step_0_is_not_doubled(tmp_path):
  for start in (0, 0, 0, 1, 1):
    with metrics.MetricsWriter(tmp_path, start) as writer:
      if not start:
        writer.write(0, {'test_loss': 3.0})
        writer.write(1, {'loss': 2.0})
  assert _scalars(tmp_path, 'test_loss') == [(0, 3.0)]
  assert _scalars(tmp_path, 'loss') == [(1, 2.0)]


def test_a_kill_while_files_are_merged_doubles_nothing(tmp_path):
  _write_run(tmp_path, 1, 2)
  _write_run(tmp_path, 3, 4)
  with mock.patch.object(os, 'unlink', side_effect=KeyboardInterrupt):
    with pytest.raises(KeyboardInterrupt):
      metrics.MetricsWriter(tmp_path, 4)
  metrics.MetricsWriter(tmp_path, 3).close()
  assert [step for step, _ in _scalars(tmp_path, 'loss')] == [1, 2, 3]
