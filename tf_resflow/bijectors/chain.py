"""A composition of bijectors without the cache of TFP."""

from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import errors
from tf_resflow import private_tfp_apis
from tf_resflow.bijectors import flow_bijector


class Chain(flow_bijector.FlowBijector, private_tfp_apis.Chain):
  """A `tfb.Chain` for bijectors that are trained: it caches nothing.

  `forward(x) = bijectors[0](bijectors[1](...(x)))`, as in `tfb.Chain`, which
  caches the results for a tensor as long as they are alive, across updates of
  the variables and across gradient tapes. A log-determinant evaluates every
  bijector of this package once. Keywords of a method are those of the parts, by
  their names, `forward(x, block_1={'seed': 3})`; others are errors.

  Args:
    bijectors: sequence of bijectors, the last one applied first.
    validate_args, validate_event_size: see `tfb.Chain`.
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

  def transform(self, x: Any, event_ndims: int, **kwargs: Any
                ) -> tuple[tf.Tensor, tf.Tensor]:
    return self._pass(reversed(self.bijectors), x, event_ndims, True, kwargs)

  def invert(self, y: Any, event_ndims: int, **kwargs: Any
             ) -> tuple[tf.Tensor, tf.Tensor]:
    return self._pass(self.bijectors, y, event_ndims, False, kwargs)

  def _pass(self, parts, value, event_ndims, is_forward, kwargs):
    """Returns the value after all parts, and the sum of log-determinants."""
    self._check(kwargs)
    total = 0.0
    for part in parts:
      value, log_det = value_and_log_det(
          part, value, event_ndims, is_forward, **kwargs.get(part.name, {}))
      total += log_det
      event_ndims = (part.forward_event_ndims(event_ndims) if is_forward
                     else part.inverse_event_ndims(event_ndims))
    return value, total

  def _check(self, kwargs):
    names = [part.name for part in self.bijectors]
    errors.check(
        kwargs.keys() <= {*names}, 'keywords', sorted(kwargs.keys() - names),
        f'names of parts of {self.name}: {", ".join(names)}',
        'Each part has keywords of its own, in a dict.')

  def solve(self, y: Any, **kwargs: Any) -> tf.Tensor:
    self._check(kwargs)
    for part in self.bijectors:
      y = part.inverse(y, **kwargs.get(part.name, {}))
    return y


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
