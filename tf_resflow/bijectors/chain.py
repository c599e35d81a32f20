"""Composition of bijectors without a cache of its own."""

from tensorflow_probability.python.bijectors import chain as tfp_chain

from tf_resflow.bijectors import caching


class Chain(tfp_chain._Chain):  # pylint: disable=protected-access
  """`tfb.Chain` for bijectors that are trained: no value outlives its call.

  `forward(x) = bijectors[0](bijectors[1](...(x)))`, as `tfb.Chain`. That one
  keeps what it computed for a tensor as long as the results are alive, across
  updates of the variables and across gradient tapes; this one leaves caching
  to its parts. A log-determinant evaluates every part once.

  Args:
    bijectors: sequence of bijectors, the last one applied first.
    **kwargs: of `tfb.Chain`.

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

  _cache = caching.NoCache()

  def _forward_log_det_jacobian(self, x, event_ndims, **kwargs):
    with caching.one_call():
      return super()._forward_log_det_jacobian(x, event_ndims, **kwargs)

  def _inverse_log_det_jacobian(self, y, event_ndims, **kwargs):
    with caching.one_call():
      return super()._inverse_log_det_jacobian(y, event_ndims, **kwargs)
