"""Rows of metrics: means, largest counts, and the first step that is bad."""

import math

import numpy as np
import tensorflow as tf

from tf_resflow.training import progress as progress_lib


def _add(progress, bits, count):
  progress.add({'bits_per_dim': tf.constant(bits), 'steps': tf.constant(count)})


def test_rows(capsys):
  progress = progress_lib.Progress(10, 15, images_per_step=8)
  for bits, count in ((1.0, 3), (2.0, 7), (6.0, 5)):
    _add(progress, bits, count)
  row, bad = progress.end_window(13)
  assert bad is None
  assert row.pop('images_per_second') > 0
  assert row == {'bits_per_dim': 3.0, 'steps': 7}
  assert isinstance(row['steps'], int)
  # The next window is empty, and its bad steps are counted from the run's.
  for bits in (1.0, math.nan):
    _add(progress, bits, 0)
  row, bad = progress.end_window(15)
  assert bad == 15 and np.isnan(row['bits_per_dim'])
  for bits in (math.inf, 1.0, math.nan):
    _add(progress, bits, 0)
  assert progress.end_window(18)[1] == 16


def test_the_bar_shows_the_first_metric(capsys):
  progress = progress_lib.Progress(0, 2, images_per_step=8)
  progress.show(1, {'nats': 2.5, 'other': 7.25, 'images_per_second': 12.0})
  progress.show(2, {'nats': 1.5, 'other': 7.25, 'images_per_second': 13.0})
  out = capsys.readouterr().out
  assert 'nats: 1.5' in out and 'images/s: 13.0' in out
  assert '7.25' not in out


def test_the_clock_leaves_out_what_comes_between(monkeypatch):
  now = [0.0]
  monkeypatch.setattr(progress_lib.time, 'perf_counter', lambda: now[0])
  progress = progress_lib.Progress(0, 2, images_per_step=8)
  _add(progress, 1.0, 0)
  now[0] = 4.0
  assert progress.end_window(1)[0]['images_per_second'] == 2.0
  now[0] = 100.0  # An evaluation.
  progress.continue_clock()
  _add(progress, 1.0, 0)
  now[0] = 102.0
  progress.continue_clock()  # Within a window it changes nothing.
  assert progress.end_window(2)[0]['images_per_second'] == 4.0
