"""How the log-densities of single examples are taken."""

from typing import NamedTuple

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.models import flow

_MIN_REPEATS = 16


class ScoringRule(NamedTuple):
  """How scores are taken.

  Attributes:
    estimator: of the log-determinants.
    num_repeats: independent draws of it that are averaged; 1 where nothing is
      drawn.
    reason: why so, in words.
  """

  estimator: numerics.Estimator
  num_repeats: int
  reason: str


def scoring_rule(
    model: models.Flow, estimator: layers.EstimatorLike = None,
    num_repeats: int | None = None) -> ScoringRule:
  """Returns how the scores of a model are taken.

  Log-determinants are those of `Flow.evaluation_estimator`: exact for events of
  up to 64 dimensions. Beyond, they are means of 16 draws, or more. What an
  image gets does not depend on its batch. A flow that draws nothing, such as
  one of coupling blocks, is evaluated once. With noise channels the noise is
  drawn as well, and scores are means of the bound.

  Args:
    model: a flow.
    estimator: to use in place of those two, or its spec.
    num_repeats: number of draws, 16 by default.

  Raises:
    InvalidValueError: if there are too few draws, or nothing is drawn and
      `num_repeats` is given.
  """
  estimator = numerics.Estimator.get(estimator)
  if estimator is not None:
    reason = 'the estimator that was asked for'
    if estimator.is_biased:
      reason += ', whose bias no deviation shows'
  else:
    estimator = model.evaluation_estimator
    reason = (
        f'averaged draws, as beyond {flow.MAX_EXACT_SIZE} dimensions'
        if estimator.is_random else
        f'exact, as up to {flow.MAX_EXACT_SIZE} dimensions')
  if not model.draws(estimator):
    errors.check(
        num_repeats is None, 'num_repeats', num_repeats,
        'no such number where nothing is drawn')
    if not model.bijection.is_random:
      reason = 'no log-determinant of this flow is estimated'
    return ScoringRule(estimator, 1, reason)
  num_repeats = _MIN_REPEATS if num_repeats is None else num_repeats
  errors.check(
      num_repeats >= _MIN_REPEATS, 'num_repeats', num_repeats,
      f'a number from {_MIN_REPEATS}',
      'The noise of fewer draws would pass for a difference between images.')
  return ScoringRule(estimator.per_example(), num_repeats, reason)
