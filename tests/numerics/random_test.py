"""Tests of the stateless draws: seeds, moments, independence of replicas."""

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import loops
from tests import replicas
from tf_resflow.numerics import random

_DRAWS = {'normal': random.normal, 'rademacher': random.rademacher}
_ALL_DRAWS = _DRAWS | {'uniform': random.uniform}


def _seed_list(seed):
  return random.as_seed(seed).values.numpy().tolist()


def test_python_ints_become_distinct_seeds():
  seeds = [0, 1, -1, 7, 2**31 - 1, 2**31, 2**31 + 1, 2**40, 2**40 + 1]
  assert len({tuple(_seed_list(s)) for s in seeds}) == len(seeds)
  assert random.as_seed(5).values.dtype == tf.int32
  # Tensors pass through.
  assert _seed_list(tf.constant([3, 4])) == [3, 4]
  assert _seed_list(tf.constant([3, 4], tf.int64)) == [3, 4]
  assert _seed_list([3, 4]) == [3, 4]


@loops.each([
    [1, 2, 3], [[1, 2]], np.int64(3), [0.5, 1.5], tf.constant([1.0, 2.0])])
def test_other_seeds_are_refused(seed):
  with pytest.raises(ValueError, match='seed=.*: expected None, a Python'):
    random.as_seed(seed)


def test_no_seed_is_fresh_at_every_execution_of_a_traced_function():
  @tf.function
  def draw():
    return random.as_seed().values, random.as_seed().values

  seeds = [tuple(s.numpy()) for _ in range(3) for s in draw()]
  seeds += [tuple(_seed_list(None)) for _ in range(2)]
  assert len(set(seeds)) == len(seeds)


def test_fold_in_separates_and_repeats():
  seeds = [_seed_list(random.fold_in(s, d)) for s in (0, 1) for d in (0, 1, 2)]
  assert len({tuple(s) for s in seeds}) == 6
  assert _seed_list(random.fold_in(1, 2)) == seeds[-1]


@loops.each(_DRAWS.values(), [tf.float32, tf.float64])
def test_moments(draw_fn, dtype):
  x = draw_fn([200, 10, 10], random.as_seed(3), dtype=dtype)
  assert x.dtype == dtype and x.shape == [200, 10, 10]
  x = x.numpy().astype(np.float64)
  # 5.5 standard errors of 20000 draws.
  assert abs(x.mean()) < 5.5 / np.sqrt(x.size)
  assert abs((x**2).mean() - 1.0) < 5.5 * np.sqrt(2 / x.size)
  kurtosis = 3.0 if draw_fn is random.normal else 1.0
  assert (x**4).mean() == pytest.approx(kurtosis, rel=0.13)
  # Examples are different draws.
  assert abs(np.mean(x[0] * x[1])) < 0.55


@loops.each(_ALL_DRAWS.values())
def test_a_draw_depends_on_the_place_in_the_batch_alone(draw_fn):
  whole = draw_fn([7, 3, 5], 11)
  for size in (1, 2, 5):
    np.testing.assert_array_equal(draw_fn([size, 3, 5], 11), whole[:size])


def test_rows_are_numbered_draws():
  rows = random.normal_rows(tf.constant([3, 1]), random.as_seed(2).values, 3,
                            tf.float64)
  assert rows.shape == [2, 3]
  np.testing.assert_array_equal(rows, random.normal(
      [2, 3], random.numbered(2, [3, 1]), tf.float64))


def _run_on_two_replicas(fn):
  """Runs `fn` in a traced step and returns its outputs per replica."""
  strategy = replicas.two_replicas()
  results = tf.function(lambda: strategy.run(fn))()
  return tf.nest.map_structure(replicas.local_values, results)


@loops.each(_ALL_DRAWS.values())
def test_two_replicas_share_the_draw_of_a_global_batch_and_not_of_others(
    draw_fn):
  seed = random.as_seed(11)

  def draw():
    alone = random.per_replica(seed)
    return (draw_fn([3, 4], alone), draw_fn([3, 4], random.fold_in(alone, 1)),
            draw_fn([3, 4], seed))

  alone, folded, shared = _run_on_two_replicas(draw)
  for part in alone:
    np.testing.assert_array_equal(part, draw_fn([3, 4], seed))
  # What is folded in leaves the kind of the batch alone.
  for part in folded:
    np.testing.assert_array_equal(
        part, draw_fn([3, 4], random.fold_in(seed, 1)))
  # Of a global batch they draw each its part, not the same again.
  np.testing.assert_array_equal(np.concatenate(shared), draw_fn([6, 4], seed))
  assert np.any(shared[0] != shared[1])


def test_uniform_scalar_is_uniform():
  """Moments; tests/conformance/estimators_test compares with XLA."""
  draw = tf.function(
      lambda i: random.uniform_scalar(random.fold_in(3, i)), autograph=False)
  values = np.array([float(draw(tf.constant(i))) for i in range(2000)])
  assert values.min() >= 0.0
  assert values.max() < 1.0
  # Kolmogorov-Smirnov at the level 1e-6.
  assert stats.kstest(values, 'uniform').pvalue > 1e-6
  # 53 bits: the low ones are not all zero.
  assert np.any(np.mod(values * 2.0**32, 1.0) != 0.0)


@loops.each(_DRAWS.values())
def test_numbered_examples_are_drawn_alike_in_any_batch(draw_fn):
  numbers = np.array([5, 0, 7, 2**31 - 1, 3])
  whole = draw_fn([5, 2, 4], random.numbered(11, numbers)).numpy()
  assert len({tuple(example.flat) for example in whole}) == 5
  # Of another shape and order, in a graph that does not know the size.
  draw = tf.function(
      lambda x, numbers: draw_fn(tf.shape(x), random.numbered(11, numbers)),
      input_signature=[tf.TensorSpec([None, 2, 4]),
                       tf.TensorSpec([None], tf.int64)])
  assert draw.get_concrete_function().output_shapes == [None, 2, 4]
  for part in ([3], [4, 0], [2, 1, 0, 4, 3]):
    np.testing.assert_array_equal(
        draw(tf.zeros([len(part), 2, 4]), numbers[part]), whole[part])
  # Parts of a flow draw from seeds that are made of this one.
  folded = random.fold_in(random.numbered(11, numbers), 3)
  np.testing.assert_array_equal(
      draw_fn([5, 2, 4], folded),
      draw_fn([5, 2, 4], random.numbered(random.fold_in(11, 3), numbers)))
  assert not np.array_equal(draw_fn([5, 2, 4], folded), whole)


def test_numbers_that_do_not_fit_the_batch():
  with pytest.raises(tf.errors.InvalidArgumentError):
    random.normal([3, 2], random.numbered(0, [1, 2]))


@loops.each(_DRAWS.values())
def test_replicas_with_numbers_draw_for_their_own_examples(draw_fn):
  def draw():
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return draw_fn([2, 3], random.numbered(11, 2 * replica + [0, 1]))

  np.testing.assert_array_equal(
      np.concatenate(_run_on_two_replicas(draw)),
      draw_fn([4, 3], random.numbered(11, tf.range(4))))


@loops.each(_DRAWS.values())
def test_graphs_know_the_shape_of_a_draw(draw_fn):
  draw = tf.function(lambda x: draw_fn(tf.shape(x), 3))
  for spec in ([4, 2, 3], [None, 2, 3]):
    shape = draw.get_concrete_function(tf.TensorSpec(spec)).output_shapes
    assert shape.as_list() == spec
  np.testing.assert_array_equal(draw(tf.ones([4, 2, 3])), draw_fn([4, 2, 3], 3))
