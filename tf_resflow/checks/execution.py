"""Traced functions, precisions, seeds, gradients, and numbers of traces."""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import numerics
from tf_resflow import private_apis
from tf_resflow.checks import properties
from tf_resflow.checks import subjects
from tf_resflow.checks.subjects import all_close
from tf_resflow.checks.subjects import close
from tf_resflow.checks.subjects import require

# The second size has the graph that all others share.
_FIRST_SIZES, _OTHER_SIZES = [3, 5], [6, 7, 9]


def _traced(function, event_shape, **kwargs):
  """Returns a function of batches of unknown size."""
  return tf.function(
      function, autograph=False, **kwargs,
      input_signature=[tf.TensorSpec([None, *event_shape])])


@properties.check(*properties.KINDS)
def traced_equals_eager_for_an_unknown_batch_size(
    subject: subjects.Subject) -> None:
  """A tf.function of batches of any size computes what eager calls do."""
  made, x = subject.of('float32')
  eager = subject.outputs('float32')
  traced = _traced(
      lambda x: subjects.evaluate(made, x), subject.case.event_shape)
  all_close('a traced output', traced(x), eager, 1e-5)
  # A single example, through the same trace.
  single = traced(x[:1])
  close('a traced output of one example', single[0], eager[0][:1],
                 1e-5, 1e-5)
  require(all(t.shape[0] == 1 for t in single), 'a batch of one has '
                   f'the shapes {[t.shape for t in single]}')


@properties.check(
    properties.BIJECTION, properties.BIJECTOR, properties.MODEL)
def traced_inverse_equals_eager_for_an_unknown_batch_size(
    subject: subjects.Subject) -> None:
  """A tf.function of the inverse does, too."""
  made, x = subject.of('float32')
  y = tf.constant(subject.outputs('float32')[0])
  inverse = _traced(made.inverse, y.shape[1:])
  close('the traced inverse', inverse(y), x, 1e-4)
  close('that of one example', inverse(y[:1]), x[:1], 1e-4)


@properties.check(properties.LIPSCHITZ, properties.BIJECTION)
def compiles_with_xla_for_an_unknown_batch_size(
    subject: subjects.Subject) -> None:
  """jit_compile=True changes no output and no inverse."""
  made, x = subject.of('float32')
  is_bijection = properties.kind_of(made) == properties.BIJECTION

  def outputs(x):
    found = subjects.evaluate(made, x)
    # XLA drops assertions: what did not converge would be NaN.
    return [*found, made.inverse(found[0])] if is_bijection else found

  expected = [*subject.outputs('float32'), *([x] if is_bijection else [])]
  compiled = _traced(outputs, subject.case.event_shape, jit_compile=True)
  all_close('a compiled output', compiled(x), expected, 1e-4)


@properties.check(*properties.KINDS)
def outputs_and_variables_have_the_dtype(subject: subjects.Subject) -> None:
  """All are of the precision that is asked for, and finite."""
  for dtype in ('float32', 'float64'):
    for output in subject.outputs(dtype):
      require(output.dtype == dtype,
                       f'an output is {output.dtype}, asked for {dtype}')
      require(np.all(np.isfinite(output)), 'an output is not finite')
    variables = subjects.layer_of(subject.of(dtype)[0]).trainable_variables
    require(
        bool(variables) == subject.case.has_variables,
        f'there are {len(variables)} trainable variables')
    require(
        {v.dtype for v in variables} <= {dtype},
        f'variables are {sorted({v.dtype for v in variables})}, not {dtype}')


@properties.check(*properties.KINDS, needs='is_random')
def seeds_decide_what_is_drawn(subject: subjects.Subject) -> None:
  """Equal seeds give equal log-determinants, others and none give new ones."""
  made, x = subject.of('float32')
  # Without a seed, draws follow TensorFlow's own. Several of them, since a
  # diagonal Jacobian leaves only the number of terms to chance.
  tf.random.set_seed(1)
  log_dets = [
      subjects.evaluate(made, tf.identity(x), seed)[1].numpy()
      for seed in (1, 1, 2, *[None] * 5)]
  close('log_det at the same seed', log_dets[0], log_dets[1], 0.0)
  require(not np.array_equal(log_dets[0], log_dets[2]),
                   'log_det does not depend on the seed')
  require(len(np.unique(log_dets[3:], axis=0)) > 1,
                   'log_det is the same at every call without a seed')


@properties.check(*properties.KINDS, needs='has_variables')
def gradients_reach_every_trainable_variable(
    subject: subjects.Subject) -> None:
  """Gradients of the first call as well, when ActNorm initialises itself."""
  trained = subject.training
  made = subject.of('float32')[0]
  require(len(trained.labels) == len(made.trainable_variables),
                   'the numbers of variables before and after a call differ')
  for label, gradient in zip(trained.labels, trained.gradients, strict=True):
    require(
        gradient is not None and np.all(np.isfinite(gradient))
        and np.any(gradient != 0),
        f'the gradient of {label} is None, not finite or 0')


def calls(made: Any) -> list[Callable]:
  """Returns all that users ask for, as functions of a batch."""
  if isinstance(made, tfb.Bijector):
    return [lambda x: made.forward_log_det_jacobian(x),
            lambda x: made.inverse(made.forward(x))]
  if not hasattr(made, 'forward_and_log_det'):
    return [made]
  return [
      lambda x: made.inverse(made.forward_and_log_det(x)[0]),
      lambda x: made.transform(x, estimator=numerics.NoLogDet()),
      lambda x: made.transform(x, estimator=numerics.Exact())]


def _backward(made):
  """Returns a training step without the update, as a function of a batch."""
  variables = subjects.layer_of(made).trainable_variables

  def differentiate(x):
    with tf.GradientTape() as tape:
      loss = tf.add_n([tf.reduce_sum(t) for t in subjects.evaluate(made, x)])
    tape.gradient(loss, [v.value for v in variables])

  return differentiate


def require_no_more_graphs(function: Callable[[int], Any]) -> None:
  """Raises `CheckFailedError` if a function of a size traces beyond two."""
  for size in _FIRST_SIZES:
    function(size)
  made = new_graphs(function, _OTHER_SIZES)
  require(not made, f'batches of {_OTHER_SIZES} made {made} graphs')


def new_graphs(function: Callable[[int], Any], sizes: Sequence[int]) -> int:
  """Returns the number of graphs that calls with sizes make."""
  with private_apis.count_graphs() as graphs:
    for size in sizes:
      function(size)
  return len(graphs)


@properties.check(*properties.KINDS)
def eager_calls_of_all_sizes_share_their_graphs(
    subject: subjects.Subject) -> None:
  """Calls with ever new batch sizes trace no more than twice."""
  made, _ = subject.of('float32')
  functions = calls(made)
  if subject.case.has_variables:
    functions.append(_backward(made))
  for function in functions:
    require_no_more_graphs(functools.partial(
        lambda of, size: of(subject.case.inputs(batch_size=size)), function))
