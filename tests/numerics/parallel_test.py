"""Operations in parallel, with one thread each; chunks of a batch."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics import averages
from tf_resflow import numerics
from tf_resflow.numerics import parallel
from tf_resflow.specs import machine

_SECONDS = 60.0  # Nothing takes as long, unless it would wait for ever.


@pytest.mark.reliability(promise='control-group')
def test_all_cores_by_themselves(monkeypatch):
  assert numerics.parallel.num_parallel() == 1  # An operation has them.
  monkeypatch.setenv('TF_NUM_INTRAOP_THREADS', '1')
  monkeypatch.setattr(machine, 'num_cores', lambda: 7)
  assert numerics.parallel.num_parallel() == 7
  monkeypatch.setenv('TF_NUM_INTEROP_THREADS', '3')
  assert numerics.parallel.num_parallel() == 3
  monkeypatch.setenv('TF_NUM_INTRAOP_THREADS', '2')
  assert numerics.parallel.num_parallel() == 1


def test_too_late():
  tf.zeros([])
  with pytest.raises(RuntimeError):
    numerics.parallel.give_operations_one_thread()


def test_the_environment_decides(monkeypatch):
  monkeypatch.setenv('TF_NUM_INTRAOP_THREADS', '2')
  numerics.parallel.give_operations_one_thread()
  assert tf.config.threading.get_intra_op_parallelism_threads() == 0


def test_two_at_once_in_order(two_cores):
  meeting = threading.Barrier(2, timeout=_SECONDS)

  def function(i):
    meeting.wait()
    return i, threading.get_ident()

  results = list(numerics.parallel.map_parallel(function, range(6)))
  assert [i for i, _ in results] == list(range(6))
  assert threading.get_ident() not in {thread for _, thread in results}


@pytest.mark.parametrize('max_parallel', [1, None])
def test_one_at_a_time(max_parallel, monkeypatch):
  if max_parallel == 1:
    monkeypatch.setenv('TF_NUM_INTRAOP_THREADS', '1')
  threads = numerics.parallel.map_parallel(
      lambda _: threading.get_ident(), range(3), max_parallel)
  assert set(threads) == {threading.get_ident()}


def test_items_are_read_as_needed(two_cores):
  read = []

  def items():
    for i in range(100):
      read.append(i)
      yield i

  results = numerics.parallel.map_parallel(lambda i: i, items())
  assert next(results) == 0
  results.close()
  assert read == [0, 1]


def test_errors_reach_the_caller(two_cores):
  results = numerics.parallel.map_parallel(lambda i: 1 // i, [1, 0, 1])
  assert next(results) == 1
  with pytest.raises(ZeroDivisionError):
    next(results)


def _function(x, y):
  return ([tf.tanh(x) * y[:, tf.newaxis], y * y], [tf.einsum('bi,b->i', x, y)])


def _inputs(batch_size):
  rng = np.random.default_rng(0)
  return (tf.constant(rng.normal(size=[batch_size, 3])),
          tf.constant(rng.normal(size=[batch_size])))


def _check(kind, batch_size, max_examples, sizes):
  """Checks what chunks give, and how many examples each of them has."""
  x, y = _inputs(batch_size)
  found_sizes = []

  def function(x, y):
    if kind != 'xla':
      tf.py_function(lambda n: found_sizes.append(int(n)), [tf.shape(x)[0]], [])
    return _function(x, y)

  def evaluate(x, y):
    return parallel.map_in_chunks(
        function, max_examples, [x, y], [x, y], [tf.zeros([3], x.dtype)],
        unknown_sizes=kind == 'unknown chunks')

  if kind.startswith('unknown'):
    evaluate = tf.function(evaluate, input_signature=[
        tf.TensorSpec([None, 3], x.dtype), tf.TensorSpec([None], x.dtype)])
  elif kind != 'eager':
    evaluate = tf.function(evaluate, jit_compile=kind == 'xla')
  found = evaluate(x, y)
  for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(_function(x, y)),
                  strict=True):
    np.testing.assert_allclose(a, b, atol=1e-14)
  assert found_sizes == sizes


@loops.each([
    ('eager', 7, None, [7]), ('eager', 1, 1, [1]), ('eager', 7, 3, [3, 3, 1]),
    ('eager', 6, 100, [6]), ('graph', 6, 1, 6 * [1]),
    ('graph', 7, 3, [3, 3, 1]), ('xla', 7, 3, []),
    ('unknown batch', 7, 3, [7]), ('unknown chunks', 0, 3, [0]),
    ('unknown chunks', 1, 3, [1]), ('unknown chunks', 6, 3, [3, 3]),
    ('unknown chunks', 7, 3, [3, 3, 1])])
def test_outputs_and_sums(*case):
  _check(*case)


def test_two_cores_end_together(two_cores):
  loops.each(['graph'], [
      (8, 8, [8]), (8, 7, [4, 4]), (8, 3, [2, 2, 2, 2]), (9, 4, [4, 4, 1]),
      (9, 3, [2, 2, 2, 2, 1]), (3, 1, [1, 1, 1]), (64, 5, 16 * [4])])(_check)()


def test_log_det_and_gradients_on_two_cores(request):
  """On one core, see tests/conformance/estimators_test."""
  g_fn, weights, x = testing.make_block('conv')
  estimator = numerics.RussianRoulette()
  draw = estimator.draw(x, 3)
  cotangents = averages.cotangents(x)

  def evaluate(max_examples):
    g = numerics.ResidualFunction(g_fn, max_examples=lambda: max_examples)

    def fn(weights, x):
      return numerics.forward_and_log_det(g, weights, x, estimator, draw=draw)

    # Chunks of training are those of graphs.
    return tf.function(lambda: [*fn(weights, x), *testing.gradients(
        fn, weights, x, cotangents)], autograph=False)

  whole = evaluate(None)()
  request.getfixturevalue('two_cores')
  in_chunks = evaluate(2)
  first, second = in_chunks(), in_chunks()
  for a, b, c in zip(whole, first, second, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-14)
    np.testing.assert_array_equal(b, c)  # Whichever chunk is first.


@pytest.mark.parametrize('max_examples, is_divided', [(2, False), (1, True)])
def test_solutions_do_not_depend_on_the_chunks(
    max_examples, is_divided, request):
  g_fn, weights, x = testing.make_block('conv', scale=0.9)
  y = x + g_fn(weights, x)
  solver = numerics.Anderson(atol=1e-9)

  def solve(max_examples):
    return tf.function(lambda: numerics.invert_residual(
        numerics.ResidualFunction(g_fn, max_examples=lambda: max_examples),
        weights, y, solver).solution, autograph=False)()

  whole = solve(None)
  if is_divided:
    request.getfixturevalue('two_cores')
  some = solve(max_examples)
  np.testing.assert_allclose(some.x, x, atol=1e-7)
  np.testing.assert_allclose(some.x, whole.x, atol=1e-12)
  np.testing.assert_array_equal(some.num_steps, whole.num_steps)
  np.testing.assert_array_equal(some.converged, [True] * 3)
