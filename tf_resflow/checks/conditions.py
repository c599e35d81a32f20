"""Conditions: whom they concern, how they are given, and their networks."""

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.checks import properties
from tf_resflow.checks import subjects
from tf_resflow.checks.subjects import all_close
from tf_resflow.checks.subjects import require
from tf_resflow.checks.subjects import Subject


@properties.check(*properties.CONDITIONAL, needs='has_condition')
def conditions_have_an_effect(subject: Subject) -> None:
  """Every example has another result for another condition."""
  made, x = subject.of()
  other = made.given(tf.reverse(made.condition(x), [0]))
  changes = np.abs(subjects.evaluate(other, x)[0] - subject.outputs()[0])
  require(np.all(np.reshape(changes, [len(x), -1]).max(1) > 1e-4),
          'the condition has no effect')


@properties.check(*properties.CONDITIONAL, needs='has_condition')
def one_condition_serves_a_whole_batch(subject: Subject) -> None:
  """Without a batch, or in a batch of one, it is that of all examples."""
  made, x = subject.of()
  one = made.condition(x)[:1]
  expected = subjects.results(made.given(tf.repeat(one, len(x), axis=0)), x)
  for condition in (one, one[0]):
    all_close('a result with one condition for all',
              subjects.results(made.given(condition), x), expected, 1e-10)


@properties.check(*properties.CONDITIONAL, needs='has_condition')
def a_missing_condition_is_an_error(subject: Subject) -> None:
  """In both directions it says in a line what is expected."""
  made, x = subject.of()
  made, y = made.given(None), tf.constant(subject.outputs()[0])
  for run in (lambda: made(x), *([] if made.kind == properties.LIPSCHITZ else [
      lambda: subjects.evaluate(made, x), lambda: made.inverse(y)])):
    message = 'no error'
    try:
      run()
    except errors.InvalidValueError as error:
      message = str(error)
    require(message.startswith('condition=None: expected')
            and '\n' not in message, f'without a condition: {message}')


@properties.check(properties.BIJECTION)
def a_condition_that_is_not_taken_is_ignored(subject: Subject) -> str | None:
  """So that parts of one flow may take it, and others not."""
  made, x = subject.of()
  if made.spec is not None:
    return 'it takes a condition'
  all_close('a result with a condition that is not taken', made.transform(
      x, condition=tf.ones([len(x), 7]), seed=1)[:2], subject.outputs()[:2])
  return None


@properties.check(properties.NETWORK)
def conditions_are_encoded_as_vectors(subject: Subject) -> None:
  """Those of a batch are `[B, size]`, other vectors for other conditions."""
  network, x = subject.of()
  (y,), shape = subject.outputs(), (len(x), network.size)
  require(y.shape == shape == network.compute_output_shape(x.shape),
          f'outputs have the shape {y.shape}, stated are '
          f'{network.compute_output_shape(x.shape)} and size {network.size}')
  require(np.ptp(y, axis=0).max() > 1e-4, 'conditions have no effect')
