"""Where operations have one thread, several run at once."""

import os
import threading

import pytest
import tensorflow as tf

from tf_resflow import numerics

_SECONDS = 60.0  # Nothing takes as long, unless it would wait for ever.


def test_all_cores_by_themselves(monkeypatch):
  assert numerics.cores.num_parallel() == 1  # An operation has them.
  monkeypatch.setenv('TF_NUM_INTRAOP_THREADS', '1')
  assert numerics.cores.num_parallel() == len(os.sched_getaffinity(0))
  monkeypatch.setenv('TF_NUM_INTEROP_THREADS', '3')
  assert numerics.cores.num_parallel() == 3
  monkeypatch.setenv('TF_NUM_INTRAOP_THREADS', '2')
  assert numerics.cores.num_parallel() == 1


def test_too_late():
  tf.zeros([])
  with pytest.raises(RuntimeError):
    numerics.cores.give_operations_one_thread()


def test_the_environment_decides(monkeypatch):
  monkeypatch.setenv('TF_NUM_INTRAOP_THREADS', '2')
  numerics.cores.give_operations_one_thread()
  assert tf.config.threading.get_intra_op_parallelism_threads() == 0


def test_two_at_once_in_order(two_cores):
  meeting = threading.Barrier(2, timeout=_SECONDS)

  def function(i):
    meeting.wait()
    return i, threading.get_ident()

  results = list(numerics.cores.map_parallel(function, range(6)))
  assert [i for i, _ in results] == list(range(6))
  assert threading.get_ident() not in {thread for _, thread in results}


@pytest.mark.parametrize('max_parallel', [1, None])
def test_one_at_a_time(max_parallel, monkeypatch):
  if max_parallel == 1:
    monkeypatch.setenv('TF_NUM_INTRAOP_THREADS', '1')
  threads = numerics.cores.map_parallel(
      lambda _: threading.get_ident(), range(3), max_parallel)
  assert set(threads) == {threading.get_ident()}


def test_items_are_read_as_needed(two_cores):
  read = []

  def items():
    for i in range(100):
      read.append(i)
      yield i

  results = numerics.cores.map_parallel(lambda i: i, items())
  assert next(results) == 0
  results.close()
  assert read == [0, 1]


def test_errors_reach_the_caller(two_cores):
  results = numerics.cores.map_parallel(lambda i: 1 // i, [1, 0, 1])
  assert next(results) == 1
  with pytest.raises(ZeroDivisionError):
    next(results)
