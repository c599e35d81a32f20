"""Bijector caches that keep no stale values and repeat no draw.

TFP's cache identifies values by tensor. It knows nothing of variables that
have changed since, of the tape under which a value was computed, or of random
draws: a trained flow that is asked twice about one tensor would answer with old
numbers, with gradients that lack a part, or with the same draw.
"""

import contextlib
import threading

from tensorflow_probability.python.internal import cache_util


class _Scope(threading.local):
  """The call that is under way in this thread, if any."""

  outputs = None


_scope = _Scope()


@contextlib.contextmanager
def one_call():
  """Within it, what was computed for a tensor is not computed again.

  For methods that ask their parts several times: the variables and the tapes
  are the same from the beginning of a call to its end. Calls inside of a call
  belong to it.
  """
  if _scope.outputs is not None:
    yield
    return
  # Caches refer to outputs weakly; the list keeps those of the call alive, and
  # stands for the call in the attributes of the pairs.
  _scope.outputs = outputs = []
  try:
    yield
  finally:
    _scope.outputs = None
    outputs.clear()


class NoCache(cache_util.BijectorCache):
  """Evaluates at every call."""

  def _lookup(self, input, forward_name, inverse_name, **kwargs):  # pylint: disable=redefined-builtin
    del inverse_name
    return self._invoke(input, forward_name, kwargs, {})

  def _attributes(self, input, fn_name, **kwargs):  # pylint: disable=redefined-builtin
    del input, fn_name, kwargs
    return {}


class _ReadOnce(dict):
  """Attributes of a cached pair: a log-determinant is handed out once."""

  def __init__(self, call):
    super().__init__()
    self.call = call
    self.is_spent = False

  def __getitem__(self, key):
    self.is_spent = True
    return self.pop(key)

  def __setitem__(self, key, value):
    pass  # Only the evaluation of the pair itself stores, through `update`.


class FlowCache(cache_util.BijectorCacheWithGreedyAttrs):
  """Remembers a log-determinant from `forward` until it is read.

  So much is needed for a `log_prob` to evaluate the flow once: after
  `y = b.forward(x)`, the first `b.inverse_log_det_jacobian(y)` is that which
  came with `y`; then the pair is forgotten. Values are never remembered:
  `b.inverse(y)` is solved for, with the variables and under the tape of that
  call. Only within `one_call`, where both are the same, may a part of a chain
  answer with what it was given before.
  """

  def _lookup(self, input, forward_name, inverse_name, **kwargs):  # pylint: disable=redefined-builtin
    output = super()._lookup(input, forward_name, inverse_name, **kwargs)
    if _scope.outputs is not None:
      _scope.outputs.append(output)
    return output

  def _attributes(self, input, fn_name, **kwargs):  # pylint: disable=redefined-builtin
    return self._edge(input, fn_name, kwargs, may_be_pair=True).attributes

  def _get_or_create_edge(self, input, forward_name, kwargs):  # pylint: disable=redefined-builtin
    return self._edge(
        input, forward_name, kwargs, may_be_pair=_scope.outputs is not None)

  def _edge(self, input, forward_name, kwargs, may_be_pair):  # pylint: disable=redefined-builtin
    """Returns what is known of a tensor and may be used, or a fresh edge."""
    edge = super()._get_or_create_edge(input, forward_name, kwargs)
    call = _scope.outputs
    is_known = isinstance(edge.attributes, _ReadOnce)
    is_of_this_call = (
        is_known and call is not None and edge.attributes.call is call)
    is_pair = (
        may_be_pair and is_known and forward_name == self._inverse_name
        and edge.dependencies is not None and not edge.attributes.is_spent)
    if not (is_of_this_call or is_pair):
      edge = edge._replace(
          output_ref=None, attributes=_ReadOnce(call), dependencies=None)
      self.storage[edge.input_ref] = edge
    return edge
