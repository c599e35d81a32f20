"""Every bijection and flow with a condition, and without one."""

import numpy as np
import pytest
import tensorflow as tf

from tests import bound
from tests import cases
from tests.conformance import subjects
from tf_resflow import errors
from tf_resflow import numerics

# Flows that take none are tested where they refuse one.
_EVERY = cases.BIJECTIONS | {
    name: case for name, case in cases.MODELS.items() if case.has_condition}


def make(subject):
  """Returns what takes the condition itself, data, and conditions or None."""
  made, x = subject.of()
  bijection = getattr(made, 'bijection', made)
  if isinstance(bijection, bound.BoundBijection):
    bijection = bijection.bijection
  spec = bijection.condition_spec
  return bijection, x, None if spec is None else bound.conditions_of(spec, x)


def results(bijection, x, condition):
  y, log_det = bijection.forward_and_log_det(x, condition=condition, seed=1)
  return [y, log_det, bijection.inverse(y, condition=condition),
          bijection.transform(
              x, condition=condition, estimator=numerics.NoLogDet()).value]


@subjects.each(_EVERY)
def test_with_and_without_a_condition(subject):
  """Bijections without a condition ignore it; others depend on it."""
  bijection, x, condition = make(subject)
  assert bijection.takes_condition == (condition is not None)
  if condition is None:
    plain = results(bijection, x, None)
    for a, b in zip(results(bijection, x, tf.ones([4, 7])), plain, strict=True):
      np.testing.assert_array_equal(a, b)
    return
  y, _, x_again, *_ = results(bijection, x, condition)
  np.testing.assert_allclose(x_again, x, rtol=0, atol=1e-8)
  swapped = tf.reverse(condition, [0])
  other = results(bijection, x, swapped)[0]
  assert np.abs(other - y).max() > 1e-4
  # Each example has its own: reversing both reverses what comes out.
  both = results(bijection, tf.reverse(x, [0]), swapped)[0]
  np.testing.assert_allclose(tf.reverse(both, [0]), y, rtol=0, atol=1e-12)


_CONDITIONAL = [name for name, case in _EVERY.items() if case.has_condition]


@subjects.each(_CONDITIONAL)
def test_a_missing_condition_is_one_line(subject):
  bijection, x, _ = make(subject)
  for run in (
      lambda: bijection.forward_and_log_det(x), lambda: bijection.inverse(x),
      lambda: bijection(x)):
    with pytest.raises(errors.InvalidValueError, match=(
        '^condition=None: expected')) as error:
      run()
    assert '\n' not in str(error.value)


@subjects.each(_CONDITIONAL)
def test_one_condition_for_all_equals_its_copies(subject):
  bijection, x, condition = make(subject)
  copies = tf.repeat(condition[:1], len(x), axis=0)
  expected = results(bijection, x, copies)
  for one in (condition[0], condition[:1]):
    for a, b in zip(results(bijection, x, one), expected, strict=True):
      np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)
