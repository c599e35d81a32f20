"""The checks: each is a function of a `subjects.Subject` of certain kinds."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from tensorflow_probability import bijectors as tfb

from tf_resflow import layers

# Kinds of subjects, by their base classes.
LIPSCHITZ, BIJECTION, BIJECTOR, MODEL, NETWORK, OTHER = KINDS = (
    'Lipschitz layer', 'bijection', 'bijector', 'model', 'condition network',
    'layer')
_BASES = {
    LIPSCHITZ: layers.LipschitzLayer, BIJECTION: layers.Bijection,
    BIJECTOR: tfb.Bijector, NETWORK: layers.ConditionNetwork}
# Those with passes in both directions, and further ways to ask for them.
LAYERED = BIJECTION, MODEL
INVERTIBLE = *LAYERED, BIJECTOR
# What may take a condition.
CONDITIONAL = LIPSCHITZ, *INVERTIBLE
# Facts of a case without which checks say nothing, and why.
_REASONS = {
    'is_random': 'nothing is drawn',
    'has_variables': 'there is nothing to train',
    'has_condition': 'it takes no condition'}

# A check returns why it says nothing of a subject; None if it does.
Run: TypeAlias = Callable[[Any], str | None]


class Check(NamedTuple):
  """A property.

  Attributes:
    name: of its function.
    sentence: what is true of every subject.
    run: a function of a `subjects.Subject`, which raises
      `subjects.CheckFailedError` where it is not.
    kinds: of the subjects that should have it.
    needs: attribute of a `subjects.Case` without which it says nothing; may be
      empty.
  """

  name: str
  sentence: str
  run: Run
  kinds: tuple[str, ...]
  needs: str

  def reason_against(self, kind: str, case: Any) -> str | None:
    """Returns why it does not apply to a case of a kind; None if it does."""
    if kind not in self.kinds:
      return f'it is asked of a {" or ".join(self.kinds)}'
    if self.needs and not getattr(case, self.needs):
      return _REASONS[self.needs]
    return None


ALL: dict[str, Check] = {}


def check(*kinds: str, needs: str = '') -> Callable[[Run], Run]:
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
