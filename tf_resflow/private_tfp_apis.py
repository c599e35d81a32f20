"""Uses of the private APIs of TFP; see `private_apis.py`.

A module of its own, because TFP takes a second to import.
"""

from tensorflow_probability.python.internal import cache_util


class NoCache(cache_util.BijectorCache):
  """A bijector cache that stores nothing and evaluates at every call.

  TFP's caches identify values by tensor. They ignore that variables may have
  changed, under which tape a value was computed, and random draws, and TFP has
  no public switch for them.
  """

  def _lookup(self, input, forward_name, inverse_name, **kwargs):  # pylint: disable=redefined-builtin
    return self._invoke(input, forward_name, kwargs, {})

  def _attributes(self, input, fn_name, **kwargs):  # pylint: disable=redefined-builtin
    return {}
