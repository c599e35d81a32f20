"""Properties of every estimator, whatever series it runs.

The functions take a case, so that user-defined estimators can be tested by them
as well. Oracles: the log-determinant of the full float64 Jacobian and its
gradient; an estimate alone against that in a batch.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tests.numerics import averages
from tests.numerics import cases
from tf_resflow import numerics
from tf_resflow.specs import registries

_EACH_ESTIMATOR = pytest.mark.parametrize(
    'case', cases.ESTIMATORS.values(), ids=cases.ESTIMATORS)
_ATOL = 1e-10


def _products():
  """Estimator, series and memory mode, so that each two meet.

  In the fast tests each estimator comes once, and each mode with each series.
  """
  series, modes = list(cases.SERIES), list(cases.MEMORY_MODES)
  for i, estimator in enumerate(cases.ESTIMATORS):
    for j, which in enumerate(series):
      for k in range(2):
        mode = modes[(i // 2 + j + 2 * k) % len(modes)]
        is_fast = j == i % len(series) and k == 0
        yield pytest.param(
            cases.ESTIMATORS[estimator], cases.SERIES[which], mode,
            id=f'{estimator}-{which}-{mode}',
            marks=[] if is_fast else [pytest.mark.slow])


def _each_estimator_with_a_series(first=0):
  """Each with one of the series, in turn."""
  series = list(cases.SERIES)
  return pytest.mark.parametrize('case, series', [
      pytest.param(case, cases.SERIES[series[(i + first) % len(series)]],
                   id=name)
      for i, (name, case) in enumerate(cases.ESTIMATORS.items())])


def _expected(case, series, memory, block, cotangents):
  """The mean of the estimates over all probes and outcomes."""
  g_fn, weights, x = block
  copies = x.shape[1:].num_elements()
  probes = averages.all_probes(x)
  u = averages.vectors(
      g_fn, weights, tf.concat([x] * copies, 0), probes, series.stride)
  estimator = case.estimator
  return averages.expected(
      case.outcomes_fn(estimator, probes, u), estimator, block, cotangents,
      copies=copies, memory=memory, series=series.series)


@pytest.mark.parametrize('case, series, memory', list(_products()))
def test_mean_of_value_and_gradient(case, series, memory):
  """The mean is the log-determinant, or the sum of the terms that are kept."""
  block = testing.make_block('dense')
  cotangents = averages.cotangents(
      block[2], cases.MEMORY_MODES[memory].per_example)
  log_det_fn = series.log_det_fn
  if case.num_terms is not None:
    log_det_fn = series.truncated(case.num_terms)
  expected = averages.oracle(log_det_fn, block, cotangents)
  averages.assert_equal(
      _expected(case, series, memory, block, cotangents), expected, _ATOL)
  # The tolerance tells the log-determinant from its first terms.
  biased = averages.oracle(series.truncated(4), block, cotangents)
  assert np.abs(biased[0] - expected[0]).max() > 100 * _ATOL
  assert testing.relative_error(biased[1], expected[1]) > 100 * _ATOL


@_EACH_ESTIMATOR
def test_mean_for_images(case):
  """Estimators say whether it is the log-determinant."""
  block = testing.make_block('conv')
  series = cases.SERIES['residual']
  cotangents = averages.cotangents(block[2])
  log_det_fn = series.log_det_fn
  if case.num_terms is not None:
    log_det_fn = series.truncated(case.num_terms)
  found = _expected(case, series, 'recompute', block, cotangents)
  averages.assert_equal(
      found, averages.oracle(log_det_fn, block, cotangents), _ATOL)
  error = np.abs(found[0] - testing.full_log_det(*block)).max()
  assert (error > 1e-6) == case.estimator.is_biased


def _map(function, draw):
  """Maps the tensors of a draw, which may be None."""
  return tf.nest.map_structure(lambda t: t if t is None else function(t), draw)


def _tensors(draw):
  """The tensors of a draw."""
  return [t for t in tf.nest.flatten(draw) if t is not None]


def _cast(structure, dtype):
  """Casts the float32 tensors of a draw or a block."""
  return _map(
      lambda t: tf.cast(t, dtype) if t.dtype == tf.float32 else t, structure)


def _take(draw, of):
  """Some of the examples of a draw."""
  return _map(lambda t: t[of] if t.shape.rank else t, draw)


def _estimate(estimator, g, weights, x, draw, cotangents, series, **kwargs):
  """Returns `x + g(x)`, the log-determinant and all gradients, as a list."""

  def fn(weights, x):
    value, log_det = estimator.evaluate(
        g, weights, [], x, draw, series=series, **kwargs)
    return x + value, log_det

  return [*fn(weights, x), *testing.gradients(fn, weights, x, cotangents)]


@_each_estimator_with_a_series()
def test_float32_agrees_with_float64(case, series):
  g_fn, weights, x = testing.make_block('dense', tf.float32)
  estimator, g = case.estimator, numerics.ResidualFunction(g_fn)
  draw = estimator.draw(x, 3)
  cotangents = averages.cotangents(x)
  single, double = [
      _estimate(estimator, g, _cast(weights, dtype), _cast(x, dtype),
                _cast(draw, dtype), _cast(cotangents, dtype), series.series)
      for dtype in (tf.float32, tf.float64)]
  assert {t.dtype for t in single} == {tf.float32}
  assert {t.dtype for t in double} == {tf.float64}
  assert testing.relative_error(single, double) < 1e-5


@pytest.mark.parametrize('jit_compile', [
    pytest.param(False, id='graph'),
    pytest.param(True, id='xla', marks=pytest.mark.slow)])
@_each_estimator_with_a_series(first=1)
def test_traced_for_an_unknown_batch_size_it_is_that_of_eager_mode(
    case, series, jit_compile):
  g_fn, weights, x = testing.make_block('dense')
  estimator, g = case.estimator, numerics.ResidualFunction(g_fn)
  draw = estimator.draw(x, 3)

  def estimate(x, dy, dlog_det, *drawn):
    drawn = iter(drawn)
    return _estimate(
        estimator, g, weights, x, _map(lambda _: next(drawn), draw),
        [dy, dlog_det], series.series)

  def inputs(of):
    cotangents = averages.cotangents(x)
    return [x[of], *(c[of] for c in cotangents), *_tensors(_take(draw, of))]

  run = tf.function(
      estimate, autograph=False, jit_compile=jit_compile, input_signature=[
          tf.TensorSpec([None, *t.shape[1:]] if t.shape.rank else [], t.dtype)
          for t in inputs(slice(None))])
  for of in (slice(None), slice(2)):
    assert testing.relative_error(
        run(*inputs(of)), estimate(*inputs(of))) < 1e-12


@_EACH_ESTIMATOR
@pytest.mark.parametrize('jit_compile', [False, True], ids=['graph', 'xla'])
def test_draws_inside_of_a_traced_function(case, jit_compile):
  """Truncations are the same under XLA; normal probes are not."""
  estimator, x = case.estimator, tf.zeros([3, 4])

  @tf.function(autograph=False, jit_compile=jit_compile)
  def draw(seed):
    return _tensors(estimator.draw(x, seed))

  for seed in range(5):
    seed = tf.constant([0, seed])
    expected = _tensors(estimator.draw(x, seed))
    for a, b in zip(draw(seed), expected, strict=True):
      assert (a.shape, a.dtype) == (b.shape, b.dtype)
      if not jit_compile or a.shape.rank == 0:
        np.testing.assert_array_equal(a, b)


@_EACH_ESTIMATOR
def test_spec_round_trip(case):
  for estimator in (numerics.Estimator.get(case.spec), case.estimator,
                    case.estimator.per_example()):
    text = estimator.spec()
    assert numerics.Estimator.get(text) == estimator
    assert not set(text) & set(' \'"$`&|;<>()[]{}*?!~#\\\t\n')
    assert hash(numerics.Estimator.get(text)) == hash(estimator)
    assert numerics.Estimator.get(estimator) is estimator


@_EACH_ESTIMATOR
def test_is_random_says_whether_draws_differ(case):
  estimator = case.estimator
  x = tf.zeros([2, 20])
  same, again, other = [
      [t.numpy().tobytes() for t in _tensors(estimator.draw(x, seed))]
      for seed in (1, 1, 2)]
  assert same == again
  assert (same != other) == estimator.is_random


@_EACH_ESTIMATOR
def test_what_examples_share_does_not_depend_on_their_number(case):
  """Hence replicas that share a seed do equal work."""
  estimator = case.estimator
  few, many = [
      _tensors(estimator.draw(tf.zeros([n, 4]), 3)) for n in (2, 6)]
  for a, b in zip(few, many, strict=True):
    if a.shape.rank == 0:
      assert a == b
    else:
      assert (a.shape[0], b.shape[0]) == (2, 6)


@_EACH_ESTIMATOR
@pytest.mark.parametrize('max_examples', [None, 2])
def test_per_example_estimates_are_those_of_examples_alone(
    case, max_examples):
  g_fn, weights, x = testing.make_block('dense')
  # Examples whose series need few terms and many.
  x *= tf.constant([[0.1], [1.0], [4.0]], x.dtype)
  estimator = case.estimator.per_example()
  assert not estimator.batch_dependent
  g = numerics.ResidualFunction(g_fn, max_examples=lambda: max_examples)
  cotangents = averages.cotangents(x)

  def estimate(draw, of):
    _, log_det, dx, *dweights = _estimate(
        estimator, g, weights, x[of], _take(draw, of),
        [c[of] for c in cotangents], cases.SERIES['residual'].series)
    return log_det, dx, dweights

  for seed in range(4):
    draw = estimator.draw(x, seed)
    log_det, dx, dweights = estimate(draw, slice(None))
    alone = [estimate(draw, slice(i, i + 1)) for i in range(3)]
    np.testing.assert_allclose(
        log_det, [a[0][0] for a in alone], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        dx, [a[1][0] for a in alone], rtol=1e-10, atol=1e-13)
    for total, *parts in zip(dweights, *[a[2] for a in alone], strict=True):
      np.testing.assert_allclose(total, sum(parts), rtol=1e-9, atol=1e-12)


@_EACH_ESTIMATOR
def test_batches_can_be_taken_in_chunks(case):
  g_fn, weights, x = testing.make_block('conv')
  # Examples whose series need few terms and many.
  x *= tf.reshape(tf.constant([0.1, 1.0, 4.0], x.dtype), [3, 1, 1, 1])
  estimator = case.estimator
  draw, cotangents = estimator.draw(x, 3), averages.cotangents(x)
  results = [
      _estimate(
          estimator, numerics.ResidualFunction(
              g_fn, max_examples=lambda n=n: n), weights, x, draw, cotangents,
          cases.SERIES['residual'].series) for n in (None, 1, 2)]
  for other in results[1:]:
    assert testing.relative_error(other, results[0]) < 1e-13


def test_every_kind_has_a_case():
  """The spec of a registered object has the name that it is registered by."""
  tables = (
      (registries.ESTIMATORS, [c.spec for c in cases.ESTIMATORS.values()]),
      (registries.TRUNCATION_DISTRIBUTIONS,
       [c.spec for c in cases.TRUNCATION_DISTRIBUTIONS.values()]),
      (registries.MEMORY_MODES, cases.MEMORY_MODES),
      (registries.SOLVERS, cases.SOLVERS.values()))
  for registry, specs in tables:
    with_a_case = {spec.partition(':')[0].partition(',')[0] for spec in specs}
    assert with_a_case == set(registry.names()), (
        f'{registry.noun}: add a line to tests/numerics/cases.py')
    for name in registry.names():
      assert registry.name_of(registry.get(name)) == name
