"""Uses of the private APIs of TFP; see `private_apis.py`."""

from collections.abc import Iterator
import inspect
import traceback
from types import FrameType

from tensorflow_probability.python.bijectors import chain
from tensorflow_probability.python.distributions import transformed_distribution
from tensorflow_probability.python.internal import cache_util

# Subclasses of the public classes are composite tensors, which lose variables
# of bijectors that are none: TFP itself makes objects of these for them.
Chain = chain._Chain
TransformedDistribution = transformed_distribution._TransformedDistribution

_DISTRIBUTIONS = 'tensorflow_probability.python.distributions'
# Packages that a method of a distribution may go through to a bijector.
_WITHIN = ('tf_resflow', 'tensorflow_probability', 'tensorflow')
# What compares log-densities at different points: chains, line searches.
_COMPARING = tuple(f'tensorflow_probability.python.{name}' for name in (
    'mcmc', 'experimental.mcmc', 'optimizer'))


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


def distribution_call() -> int | None:
  """Returns a number for the call of a distribution's method that asks.

  TFP has no public way to know that two calls of a bijector are of one method.
  None for other callers, also where a method runs code of others, such as the
  body of a joint distribution, which may change weights between two calls.
  """
  for frame, module in _callers():
    if module.startswith(_DISTRIBUTIONS):
      return id(frame)
    if module.partition('.')[0] not in _WITHIN:
      return None
  return None


def compares_values() -> bool:
  """Returns whether a Markov chain or a line search of TFP is the caller.

  They call functions that are given to them, and do not say so.
  """
  return any(module.startswith(_COMPARING) for _, module in _callers())


def _callers() -> Iterator[tuple[FrameType, str]]:
  """Yields the frames that led here, and the names of their modules."""
  for frame, _ in traceback.walk_stack(inspect.currentframe()):
    yield frame, frame.f_globals.get('__name__', '')
