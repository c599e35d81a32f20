"""What this package uses of TFP beyond its public names.

As `private_apis.py`; on its own because TFP takes a second to import, which
only those pay who use it.
"""

from tensorflow_probability.python.internal import cache_util


class NoCache(cache_util.BijectorCache):
  """A bijector cache that evaluates at every call.

  TFP's caches identify values by tensor. They know nothing of variables that
  have changed since, of the tape under which a value was computed, or of random
  draws, and TFP has no public switch for them.
  """

  def _lookup(self, input, forward_name, inverse_name, **kwargs):  # pylint: disable=redefined-builtin
    return self._invoke(input, forward_name, kwargs, {})

  def _attributes(self, input, fn_name, **kwargs):  # pylint: disable=redefined-builtin
    return {}
