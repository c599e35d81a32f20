"""A composition of bijectors without the cache of TFP."""

from collections.abc import Sequence
import functools
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow.bijectors import flow_bijector


class Chain(flow_bijector.FlowBijector, tfb.Composition):
  """A `tfb.Chain` for bijectors that are trained: it caches nothing.

  `forward(x) = bijectors[0](bijectors[1](...(x)))`, as in `tfb.Chain`, which
  caches the results for a tensor as long as they are alive, across updates of
  the variables and across gradient tapes. A log-determinant evaluates every
  bijector of this package once.

  Args:
    bijectors: sequence of bijectors, the last one applied first.
    validate_args: see `tfb.Chain`.
    name: name of the bijector; `chain_of_...` by default.

  Example:
    >>> def make_block(name):
    ...   g = keras.Sequential([
    ...       layers.SpectralDense(8), layers.LipSwish(),
    ...       layers.SpectralDense(2)])
    ...   return bijectors.ResidualBlock(g, event_shape=[2], name=name)
    >>> flow = bijectors.Chain([make_block('last'), make_block('first')])
    >>> flow.forward(tf.ones([5, 2])).shape
    TensorShape([5, 2])
  """

  def __init__(self, bijectors: Sequence[tfb.Bijector],
               validate_args: bool = False, name: str | None = None):
    super().__init__(
        bijectors=list(bijectors), validate_args=validate_args,
        parameters=locals(), name=name or '_of_'.join(
            ['chain', *(b.name for b in bijectors)]).replace('/', ''))

  def _walk_forward(self, step_fn, x, **kwargs):
    for bijector in reversed(self.bijectors):
      x = step_fn(bijector, x, **kwargs.get(bijector.name, {}))
    return x

  def _walk_inverse(self, step_fn, y, **kwargs):
    for bijector in self.bijectors:
      y = step_fn(bijector, y, **kwargs.get(bijector.name, {}))
    return y

  def transform(self, x: Any, event_ndims: int, **kwargs: Any
                ) -> tuple[tf.Tensor, tf.Tensor]:
    return self._walk_forward(
        functools.partial(_step, is_forward=True), (x, 0.0, event_ndims),
        **kwargs)[:2]

  def invert(self, y: Any, event_ndims: int, **kwargs: Any
             ) -> tuple[tf.Tensor, tf.Tensor]:
    return self._walk_inverse(
        functools.partial(_step, is_forward=False), (y, 0.0, event_ndims),
        **kwargs)[:2]

  def solve(self, y: Any, **kwargs: Any) -> tf.Tensor:
    return self._walk_inverse(
        lambda bijector, y, **kwargs: bijector.inverse(y, **kwargs), y,
        **kwargs)


def _step(bijector, state, is_forward, **kwargs):
  """Returns the value, sum of log-determinants and event axes after a part."""
  value, total, event_ndims = state
  value, log_det = value_and_log_det(
      bijector, value, event_ndims, is_forward, **kwargs)
  event_ndims = (bijector.forward_event_ndims(event_ndims) if is_forward
                 else bijector.inverse_event_ndims(event_ndims))
  return value, total + log_det, event_ndims


def value_and_log_det(
    bijector: tfb.Bijector, value: Any, event_ndims: int, is_forward: bool,
    **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns a value of a bijector or its inverse, and the log-determinant.

  In one pass, if the bijector is of this package or an `Invert` of one.
  """
  # For bijectors that are not composite tensors, such as ours, `tfb.Invert`
  # makes objects of another class.
  if isinstance(bijector, type(tfb.Invert(bijector))):
    return value_and_log_det(
        bijector.bijector, value, event_ndims, not is_forward, **kwargs)
  if isinstance(bijector, flow_bijector.FlowBijector):
    one_pass = bijector.transform if is_forward else bijector.invert
    return one_pass(value, event_ndims, **kwargs)
  if is_forward:
    return bijector.forward(value, **kwargs), bijector.forward_log_det_jacobian(
        value, event_ndims, **kwargs)
  return bijector.inverse(value, **kwargs), bijector.inverse_log_det_jacobian(
      value, event_ndims, **kwargs)
