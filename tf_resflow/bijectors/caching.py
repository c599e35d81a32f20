"""Bijector caches that keep no stale values and repeat no draw.

TFP's cache identifies values by tensor. It knows nothing of variables that
have changed since, of the tape under which a value was computed, or of random
draws: a trained flow that is asked twice about one tensor would answer with old
numbers, with gradients that lack a part, or with the same draw.
"""

from tensorflow_probability.python.internal import cache_util


class NoCache(cache_util.BijectorCache):
  """Evaluates at every call; for bijectors whose parts have their own cache."""

  def _lookup(self, input, forward_name, inverse_name, **kwargs):  # pylint: disable=redefined-builtin
    del inverse_name
    return self._invoke(input, forward_name, kwargs, {})

  def _attributes(self, input, fn_name, **kwargs):  # pylint: disable=redefined-builtin
    del input, fn_name, kwargs
    return {}


class _ReadOnce(dict):
  """Attributes of a cached pair: a log-determinant is handed out once."""

  is_spent = False

  def __getitem__(self, key):
    self.is_spent = True
    return self.pop(key)

  def __setitem__(self, key, value):
    pass  # Only the evaluation of the pair itself stores, through `update`.


class FlowCache(cache_util.BijectorCacheWithGreedyAttrs):
  """Remembers a pair from `forward` until its log-determinant is read.

  So much is needed for a `log_prob` to evaluate the flow once: after
  `y = b.forward(x)`, `b.inverse(y)` returns `x`, and the first
  `b.inverse_log_det_jacobian(y)` the log-determinant that came with `y`; then
  the pair is forgotten. Everything else is evaluated at every call, with the
  variables, the tape and the draws of that call. To verify an inverse
  numerically, pass `tf.identity(y)`.
  """

  def _get_or_create_edge(self, input, forward_name, kwargs):  # pylint: disable=redefined-builtin
    edge = super()._get_or_create_edge(input, forward_name, kwargs)
    is_pair = (
        forward_name == self._inverse_name and edge.dependencies is not None
        and not edge.attributes.is_spent)
    if not is_pair:
      edge = edge._replace(
          output_ref=None, attributes=_ReadOnce(), dependencies=None)
      self.storage[edge.input_ref] = edge
    return edge
