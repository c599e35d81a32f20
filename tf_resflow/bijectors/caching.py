"""A bijector cache that keeps no stale values and repeats no draw."""

import tensorflow as tf
from tensorflow_probability.python.internal import cache_util


class _ReadOnce(dict):
  """Attributes of a cached pair: a log-determinant is handed out once."""

  def __getitem__(self, key):
    return self.pop(key)

  def __setitem__(self, key, value):
    pass  # Only the evaluation of the pair itself stores, through `update`.


class FlowCache(cache_util.BijectorCacheWithGreedyAttrs):
  """Remembers where a value came from, but evaluates arguments afresh.

  TFP's cache identifies values by tensor, and knows nothing of variables that
  have changed since or of random draws. Here

  - `y = b.forward(x)` followed by `b.inverse(y)` returns `x`, and the first
    `b.inverse_log_det_jacobian(y)` the log-determinant that came with `y`, so
    one `log_prob` evaluates the flow once;
  - in eager mode `b.forward(x)` and `b.inverse(y)` of a tensor that the
    bijector did not produce itself are evaluated at every call, with the
    variables as they are then;
  - a log-determinant is handed out once; asked again, it is drawn again.

  To verify an inverse numerically, pass `tf.identity(y)`.
  """

  def _get_or_create_edge(self, input, forward_name, kwargs):  # pylint: disable=redefined-builtin
    edge = super()._get_or_create_edge(input, forward_name, kwargs)
    is_product = edge.dependencies is not None
    stale = tf.executing_eagerly() and not is_product and edge.output_ref
    if stale or not isinstance(edge.attributes, _ReadOnce):
      edge = edge._replace(
          output_ref=None if stale else edge.output_ref,
          attributes=_ReadOnce())
      self.storage[edge.input_ref] = edge
    return edge
