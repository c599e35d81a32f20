"""Rows of metrics; the line and the bar that a user sees; the time left.

The clock stands still but where a test moves it.
"""

import math
import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow.training import progress as progress_lib


class _Run:
  """A `Progress` and its clock."""

  def __init__(self, start_step=0, num_steps=1000, **arguments):
    self.now, self.step = 0.0, start_step
    self.progress = progress_lib.Progress(
        start_step, num_steps, examples_per_step=8, clock=lambda: self.now,
        **arguments)

  def add(self, bits=1.0, count=0, seconds=1.0):
    self.now += seconds
    self.step += 1
    self.progress.add(
        {'bits_per_dim': tf.constant(bits), 'steps': tf.constant(count)})

  def window(self, *seconds):
    """Takes steps of these times; returns their row."""
    for step_seconds in seconds:
      self.add(seconds=step_seconds)
    return self.progress.end_window(self.step)[0]

  def show(self, seconds):
    """Takes a step, and shows it."""
    row = self.window(seconds)
    self.progress.show(
        self.step, row, self.step == self.progress.num_steps)

  def pause(self, seconds):
    with self.progress.paused():
      self.now += seconds

  @property
  def left(self):
    return self.progress.time_left(self.step)


def test_rows():
  run = _Run(10, 18, columns={'bits_per_dim': 'biased_bits_per_dim'})
  for bits, count in ((1.0, 3), (2.0, 7), (6.0, 5)):
    run.add(bits, count)
  row, bad = run.progress.end_window(13)
  assert bad is None
  assert row == {
      'biased_bits_per_dim': 3.0, 'steps': 7, 'examples_per_second': 8.0}
  assert isinstance(row['steps'], int)
  # The next window is empty, and its bad steps are counted from the run's.
  for bits in (1.0, math.nan):
    run.add(bits)
  row, bad = run.progress.end_window(15)
  assert bad == 15 and np.isnan(row['biased_bits_per_dim'])
  for bits in (math.inf, 1.0, math.nan):
    run.add(bits)
  assert run.progress.end_window(18)[1] == 16


def test_skipped_steps_are_counted_and_no_part_of_means():
  progress = progress_lib.Progress(0, 9, 1)
  for values, expected, bad in (
      ([(3.0, 0), (math.nan, 1), (5.0, 0)], (4.0, 1), None),
      ([(math.nan, 1), (math.nan, 0)], (math.nan, 1), 5),
      ([(math.nan, 1)] * 2, (math.nan, 2), None)):
    for value, is_skipped in values:
      progress.add({'nats': value, 'skipped': np.int32(is_skipped)})
    row, found = progress.end_window({3: 3, 2: 5}[len(values)])
    np.testing.assert_equal((row['nats'], row['skipped']), expected)
    assert found == bad


def test_speed_leaves_out_what_comes_between():
  run = _Run()
  assert run.window(4.0)['examples_per_second'] == 2.0
  run.add(seconds=1.0)
  run.pause(50.0)
  assert run.window(3.0)['examples_per_second'] == 4.0
  # A window that ends within, as where a checkpoint is saved.
  with run.progress.paused():
    run.add(seconds=7.0)
    run.progress.end_window(run.step)
    run.now += 50.0
  assert run.window(1.0)['examples_per_second'] == 8.0


def test_the_first_step_does_not_count():
  """It traces for 10 s; of a run that goes on its remaining steps are left."""
  run = _Run(900, 1000)
  row = run.window(10.0)
  assert run.progress.describe(901, row) == 'bits_per_dim: 1.0000'
  run.window(0.25)
  assert run.left == 98 * 0.25


def test_time_left_has_what_comes_between():
  run = _Run(num_steps=100)
  run.window(9.0, *[1.0] * 9)
  assert run.left == 90.0
  run.pause(9.0)
  assert run.left == 180.0
  run.window(*[1.0] * 9)
  assert run.left == 81 * 27.0 / 18


def test_a_line():
  run = _Run(num_steps=30000, unit_note='(5 bits)')
  row = run.window(10.0, 0.124) | {'other': 7.25}
  assert run.progress.describe(2, row) == (
      'bits_per_dim: 1.0000 (5 bits) - step: 0.124 s - left: 1:02:00')
  assert run.progress.describe(30000, row) == (
      'bits_per_dim: 1.0000 (5 bits) - step: 0.124 s')


def test_a_log_has_a_line_every_half_minute(capsys):
  run = _Run(num_steps=60)
  for _ in range(60):
    run.show(1.0)
  assert capsys.readouterr().out.splitlines() == [
      '1/60 - bits_per_dim: 1.0000',
      '31/60 - bits_per_dim: 1.0000 - step: 1.00 s - left: 29.0 s',
      '60/60 - bits_per_dim: 1.0000 - step: 1.00 s']


@pytest.fixture
def terminal(capsys, monkeypatch):
  """Returns a function: what steps of a second write on so many columns."""

  def write(run, num_steps, columns=200):
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
    monkeypatch.setenv('COLUMNS', str(columns))
    for _ in range(num_steps):
      run.show(1.0)
    return capsys.readouterr().out

  return write


def test_a_terminal_has_one_line_that_moves(terminal):
  out = terminal(_Run(num_steps=4), 4)
  assert out.count('\n') == 1 and out.endswith('\n')
  _, first, second, _, last = out.split('\r')
  assert first == '1/4 [=====...............] bits_per_dim: 1.0000'
  # The rest of a longer line is wiped out.
  assert last.rstrip() == (
      '4/4 [====================] bits_per_dim: 1.0000 - step: 1.00 s')
  assert len(last.rstrip('\n')) == len(second)


def test_the_bar_gives_way_to_the_text(terminal):
  """And the text to the width: no terminal gets a second line."""
  text = 'bits_per_dim: 1.0000 - step: 1.00 s - left: 2.00 s'
  for columns, line in (
      (64, f'2/4 [===...] {text}'), (40, f'2/4 {text}'[:39])):
    last = terminal(_Run(num_steps=4), 2, columns).split('\r')[-1]
    assert last.rstrip() == line


@pytest.mark.reliability(promise='closed-stdout')
def test_a_run_outlives_its_stdout(monkeypatch, caplog):
  read_end, write_end = os.pipe()
  os.close(read_end)
  run = _Run()
  with open(write_end, 'w') as file:
    monkeypatch.setattr(sys, 'stdout', file)
    for _ in range(3):
      run.show(31.0)
    print('The report.')  # Closing flushes this.
  assert len(caplog.records) == 1 and 'Broken pipe' in caplog.text
  monkeypatch.setattr(sys, 'stdout', None)
  run.show(31.0)
  assert run.step == 4 and len(caplog.records) == 1
