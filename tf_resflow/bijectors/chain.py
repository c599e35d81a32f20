"""Composition of bijectors without a cache of its own."""

from tensorflow_probability.python.bijectors import chain as tfp_chain

from tf_resflow.bijectors import caching


class Chain(tfp_chain._Chain):  # pylint: disable=protected-access
  """`tfb.Chain` for bijectors that are trained: no value outlives its call.

  `forward(x) = bijectors[0](bijectors[1](...(x)))`, as `tfb.Chain`. That one
  keeps what it computed for a tensor as long as the results are alive, across
  updates of the variables and across gradient tapes; this one leaves caching
  to its parts.

  Args:
    bijectors: sequence of bijectors, the last one applied first.
    **kwargs: of `tfb.Chain`.

  Example:
    >>> flow = Chain([
    ...     bijectors.ResidualBlock(g2, event_shape=[2], name='block_2'),
    ...     bijectors.ResidualBlock(g1, event_shape=[2], name='block_1')])
    >>> y = flow.forward(tf.ones([5, 2]))
  """

  _cache = caching.NoCache()
