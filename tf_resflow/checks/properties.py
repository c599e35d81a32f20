"""The checks: each is a function of a `subjects.Subject` of certain kinds."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tensorflow_probability import bijectors as tfb

from tf_resflow import layers
from tf_resflow.checks import subjects

# Kinds of subjects, by their base classes.
LIPSCHITZ, BIJECTION, BIJECTOR, MODEL, OTHER = KINDS = (
    'Lipschitz layer', 'bijection', 'bijector', 'model', 'layer')
_BASES = {
    LIPSCHITZ: layers.LipschitzLayer, BIJECTION: layers.Bijection,
    BIJECTOR: tfb.Bijector}


class Check(NamedTuple):
  """A property.

  Attributes:
    name: of its function.
    sentence: what is true of every subject.
    run: raises `subjects.CheckFailedError` where it is not.
    kinds: of the subjects that should have it.
    needs: attribute of a `Case` without which it says nothing; may be empty.
  """

  name: str
  sentence: str
  run: Callable[[subjects.Subject], None]
  kinds: tuple[str, ...]
  needs: str

  def applies(self, kind: str, case: subjects.Case) -> bool:
    """Returns whether a subject of a kind should have it."""
    return kind in self.kinds and (
        not self.needs or getattr(case, self.needs))


ALL: dict[str, Check] = {}


def check(*kinds: str, needs: str = '') -> Callable:
  """Returns a decorator that adds a check; see `Check`.

  The first line of the docstring of the function is the sentence.
  """

  def add(run):
    ALL[run.__name__] = Check(
        run.__name__, run.__doc__.splitlines()[0], run, kinds, needs)
    return run

  return add


def kind_of(made: Any) -> str:
  """Returns the kind of a layer, bijection, bijector or flow."""
  augmentation = getattr(made, 'augmentation', None)
  if augmentation is not None and not augmentation.is_random:
    return MODEL
  return next((kind for kind, base in _BASES.items() if isinstance(made, base)),
              OTHER)
