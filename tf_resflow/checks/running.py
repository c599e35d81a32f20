"""Runs all checks of a reader's own type, and says what broke."""

from collections.abc import Iterator
import inspect
from typing import Any, NamedTuple

import numpy as np

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.checks import bijections as bijections
from tf_resflow.checks import conditions as conditions
from tf_resflow.checks import execution as execution
from tf_resflow.checks import gradients as gradients
from tf_resflow.checks import lipschitz_layers as lipschitz_layers
from tf_resflow.checks import properties
from tf_resflow.checks import storage as storage
from tf_resflow.checks import subjects

# All checks: each of these modules has added its own.
ALL = properties.ALL


class Outcome(NamedTuple):
  """What a check found.

  Attributes:
    check: the check.
    problem: what is wrong, with the input; empty if nothing is.
    reason: why it says nothing of the type, or None.
  """

  check: properties.Check
  problem: str = ''
  reason: str | None = None


def case_of(make: Any, event_shape: tuple[int, ...],
            **settings: Any) -> subjects.Case:
  """Returns the case of a class or of a function of a dtype.

  What there is to train, what is random, and whether there is a condition is
  asked of an object.

  Args:
    make: takes `dtype`, and returns a layer, bijection, bijector or flow.
    event_shape: of one input; that of a condition network is known.
    **settings: further fields of the case.

  Raises:
    InvalidValueError: if it cannot be called so, or returns something else.
  """
  try:
    inspect.signature(make).bind(dtype='float32')
  except TypeError as error:
    raise errors.InvalidValueError(
        'name', getattr(make, '__name__', make),
        'a class or function that takes dtype alone', f'{error}. Write a '
        'function of dtype that returns an object.') from error
  made = subjects.Instance(make(dtype='float32'))
  errors.check(
      hasattr(made.layer, 'built'), 'name', type(made.it).__name__,
      'a layer, bijection, bijector of this package, or flow')
  if made.kind == properties.NETWORK:
    event_shape, settings['num_labels'] = made.condition_spec
  layers.build_once(made.layer, (None, *event_shape))
  return subjects.Case(
      lambda dtype: make(dtype=dtype), event_shape,
      has_variables=bool(made.layer.trainable_variables),
      has_condition=made.spec is not None,
      is_random=bool(getattr(made.layer, 'is_random', False)),
      has_bi_lipschitz_bounds=made.kind == properties.BIJECTION and (
          made.bi_lipschitz_bounds().upper < np.inf), **settings)


def run(name: str, case: subjects.Case) -> Iterator[Outcome]:
  """Runs all checks of a case, and yields what each found."""
  subject = subjects.Subject(name, case)
  kind = properties.kind_of(case.make_fn('float32'))
  for check in ALL.values():
    reason = check.reason_against(kind, case)
    yield Outcome(check, '', reason) if reason else outcome_of(check, subject)


def outcome_of(check: properties.Check, subject: subjects.Subject) -> Outcome:
  """Runs a check; errors of the type are problems, too."""
  try:
    return Outcome(check, '', check.run(subject))
  except subjects.CheckFailedError as error:
    text = str(error)
    if error.example is not None:
      x = subject.case.inputs('float64')[error.example]
      text += ' at x = ' + np.array2string(
          x.numpy(), precision=6, threshold=24)
    return Outcome(check, text)
  except Exception as error:  # pylint: disable=broad-exception-caught
    return Outcome(check, f'{type(error).__name__}: {errors.sentence(error)}')
