"""Runs all checks of a reader's own type, and says what broke."""

from collections.abc import Iterator
import inspect
from typing import Any, NamedTuple

import numpy as np

from tf_resflow import errors
from tf_resflow.checks import bijections as bijections
from tf_resflow.checks import execution as execution
from tf_resflow.checks import lipschitz_layers as lipschitz_layers
from tf_resflow.checks import properties
from tf_resflow.checks import storage as storage
from tf_resflow.checks import subjects

# All checks: each of these modules has added its own.
ALL = properties.ALL


class Outcome(NamedTuple):
  """What a check found.

  Attributes:
    problem: what is wrong, with the input; empty if nothing is.
  """

  check: properties.Check
  problem: str


def case_of(make: Any, event_shape: tuple[int, ...],
            **settings: Any) -> subjects.Case:
  """Returns the case of a class or of a function of a dtype.

  What there is to train, and what is random, is asked of an object.

  Args:
    make: takes `dtype`, and returns a layer, bijection, bijector or flow.
    event_shape: of one input.
    **settings: further fields of the case.

  Raises:
    InvalidValueError: if it cannot be called so, or returns something else.
  """

  def make_fn(dtype):
    return make(dtype=dtype)

  try:
    inspect.signature(make).bind(dtype='float32')
  except TypeError as error:
    raise errors.InvalidValueError(
        'name', getattr(make, '__name__', make),
        'a class or function that takes dtype alone', f'{error}. Write a '
        'function of dtype that returns an object.') from error
  made = make_fn('float32')
  layer = subjects.layer_of(made)
  errors.check(
      hasattr(layer, 'built'), 'name', type(made).__name__,
      'a layer, bijection, bijector of this package, or flow')
  if not layer.built:
    layer.build((None, *event_shape))
  kind = properties.kind_of(made)
  bounds = (made.bi_lipschitz_bounds() if kind == properties.BIJECTION else
            (0.0, float('inf')))
  return subjects.Case(
      make_fn, event_shape, has_variables=bool(layer.trainable_variables),
      is_random=bool(getattr(layer, 'is_random', False)),
      has_bi_lipschitz_bounds=bounds[1] < float('inf'), **settings)


def run(name: str, case: subjects.Case) -> Iterator[Outcome]:
  """Runs all checks that apply to a case, and yields what each found."""
  subject = subjects.Subject(name, case)
  kind = properties.kind_of(case.make_fn('float32'))
  for check in ALL.values():
    if check.applies(kind, case):
      yield Outcome(check, problem_of(check, subject))


def problem_of(check: properties.Check, subject: subjects.Subject) -> str:
  """Returns what a check says, with the input; errors are those of the type."""
  try:
    check.run(subject)
    return ''
  except subjects.CheckFailedError as error:
    if error.example is None:
      return str(error)
    x = subject.case.inputs('float64')[error.example]
    return f'{error} at x = ' + np.array2string(
        x.numpy(), precision=6, threshold=24)
  except Exception as error:  # pylint: disable=broad-exception-caught
    return f'{type(error).__name__}: {errors.sentence(error)}'
