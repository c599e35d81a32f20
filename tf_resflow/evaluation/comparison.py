"""How good a flow of vectors is beside a Gaussian and a mixture, in words."""

from collections.abc import Mapping
import math
from typing import Any, NamedTuple

import numpy as np
from numpy import typing as npt

from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.columns import column_checks
from tf_resflow.columns import coordinates
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import mixtures
from tf_resflow.evaluation import statistics

# Number of test rows below which standard errors are too uncertain.
_FEW_ROWS = 30
_NUM_STDERRS = 2.0
# Largest number of training rows that are scored to see overfitting.
_MAX_TRAINING_ROWS = 2000


class Comparison(NamedTuple):
  """How good a flow is beside the baselines.

  Attributes:
    summary: one line.
    warnings: a sentence each, if any.
    differences: from the name of a baseline to flow minus baseline, nats; below
      0 where the flow is better. A mixture of one component has none if it is
      within 0.005 nats of the Gaussian.
  """

  summary: str
  warnings: tuple[str, ...]
  differences: dict[str, statistics.MeanAndStderr]

  def report(self) -> dict[str, float]:
    """Returns the differences, a dict for JSON."""
    return {key: value for name, difference in self.differences.items()
            for key, value in difference.report(f'nats_minus_{name}').items()}


def compare(
    test_nll: npt.ArrayLike, baselines: Mapping[str, mixtures.Baseline],
    train_nll: npt.ArrayLike | None = None, is_best: bool = False,
    is_bound: bool = False, is_mixture: bool = False) -> Comparison:
  """Says in words how good a flow of vectors is, and warns.

  It warns of a flow that is

  - worse than a baseline: by more than two paired standard errors or, with
    fewer than 30 test rows, at all;
  - not tested enough: with fewer than 30 test rows, or a paired standard error
    above the difference;
  - overfitted, where that asks for something to be done: a baseline has the
    lower mean, or the weights were not chosen on validation rows. With the best
    weights a gap alone is normal. The mean -log p of the test rows exceeds that
    of the training rows by more than two standard errors,
    sqrt(s_train^2 + s_test^2), and by more than half the standard deviation
    among the training rows. With normal -log p of one variance, a row that it
    was trained on then has the higher log p in more than
    Phi(0.5 / sqrt 2) = 64 of 100 pairs with another row.

  Args:
    test_nll: `[N]`, -log p of the test rows under the flow, nats; infinite for
      rows without a density, which are left out, as are those of a baseline.
    baselines: what `mixtures.fit_mixtures` returned for the same rows.
    train_nll: `[M]`, of training rows or some of them; None if no row is seen
      twice.
    is_best: whether the weights are those of the lowest validation loss.
    is_bound: whether the numbers of the flow are upper bounds.
    is_mixture: whether it has begun as a mixture.

  Raises:
    InvalidValueError: if there are fewer than two of some rows, or a number is
      NaN.

  Example:
    >>> x = np.random.default_rng(0).normal(size=[500, 1])
    >>> found = mixtures.fit_mixtures(x[:400], x[400:], num_components=[1])
    >>> print(compare(x[400:, 0]**2 + 1.0, found).summary)
    test ... nats a row (100 rows); a Gaussian of ... 1.51: the flow is ...
  """
  losses = {name: baseline.values for name, baseline in baselines.items()}
  has_density = ~np.isposinf([test_nll, *losses.values()]).any(axis=0)
  test_nll = np.asarray(test_nll)[has_density]
  test = statistics.mean_and_stderr(test_nll)
  few = test.num_examples < _FEW_ROWS
  differences: dict[str, statistics.MeanAndStderr] = {}
  others, sides, problems = [], [], []
  for name, values in losses.items():
    values, details = values[has_density], baselines[name].details
    gap = np.mean(values - losses['gaussian'][has_density])
    if differences and details['num_components'] == 1 and abs(gap) < 0.005:
      continue  # The best mixture is about the Gaussian.
    label, kind = _names(details)
    difference = statistics.paired_difference(test_nll, values)
    differences[name] = difference
    others.append(f'{label} {np.mean(values):.2f}')
    by = f'{abs(difference.mean):.2f} +- {difference.stderr:.2f}'
    sides.append(
        f'{by} {"worse" if difference.mean > 0 else "better"} than the {kind}')
    if difference.mean > 0 and (
        few or difference.num_stderrs > _NUM_STDERRS):
      problems.append(f'The flow is {sides[-1]}: try ' + (
          'other --column_types, such as NAME:log' if is_mixture else
          '--base=mixture, which begins as one'
      ) + '; then another --learning_rate or --hidden_units.')
    if few or difference.stderr > abs(difference.mean):
      problems.append(
          f'{test.num_examples} test rows are too few to say whether the flow '
          f'or the {kind} is better.')
  is_worse = any(difference.mean > 0 for difference in differences.values())
  if train_nll is not None and (is_worse or not is_best):
    problems += _overfitting(train_nll, test)
  num_left_out = np.sum(~has_density)
  rows = f'{test.num_examples} rows' + (
      f'; {num_left_out} without a density in one of these are left out'
      if num_left_out else '')
  not_tried = baselines['gaussian_mixture'].details.get('not_tried', ())
  return Comparison(
      f'test {test.mean:.2f} +- {test.stderr:.2f} nats a row '
      f'{"(an upper bound) " if is_bound else ""}({rows}); '
      f'{", ".join(others)}: the flow is {" and ".join(sides)}.' + (
          f' Mixtures of {", ".join(map(str, not_tried))} were not all tried, '
          'as they may take a tenth of the time of training: with more '
          '--num_steps they are.' if not_tried else ''),
      tuple(problems), differences)


def _names(details):
  """Returns what a baseline is called, in full and in short."""
  count = details['num_components']
  kind = 'diagonal ' if details['covariance_type'] == 'diag' else (
      'regularised ' if count == 1 and details['reg_covar'] else '')
  columns = f'of {details["columns"]}'
  if count == 1:
    return f'a {kind}Gaussian {columns}', f'{kind}Gaussian'
  return f'a mixture of {count} {kind}Gaussians {columns}', 'mixture'


def _overfitting(train_nll, test):
  """Yields a warning if rows that a flow was trained on are much likelier."""
  train = statistics.mean_and_stderr(train_nll)
  gap = test.mean - train.mean
  stderr = math.hypot(train.stderr, test.stderr)
  if gap > max(_NUM_STDERRS * stderr, 0.5 * np.std(train_nll, ddof=1)):
    yield (
        f'The flow is overfitted: {gap:.2f} +- {stderr:.2f} nats a row better '
        'on training rows than on test rows. More --input_noise or '
        '--weight_decay, fewer --hidden_units, or more rows help.')


def compare_on_splits(
    model: models.Flow, test_nll: np.ndarray,
    splits: Mapping[str, datasets.Split], *, is_best: bool = False,
    max_seconds: float = math.inf, seed: int = 0,
    strategy: Any = None) -> Comparison:
  """Compares a flow of vectors with mixtures that are fitted to its data.

  These are fitted to the training and validation rows, to columns as they are,
  to logarithms and to columns as the flow maps them, whichever does best in
  cross-validation, with means that are linear in the condition, if there is
  one. The summary names columns for which the likelihood is unbounded.

  Args:
    test_nll: `[N]`, -log p of the test rows under the flow, nats.
    splits: 'train', 'test' and, if there is one, 'validation'.
    is_best: see `compare`.
    max_seconds, seed: see `mixtures.fit_mixtures`.
    strategy: see `EvaluationSettings`.
  """
  names = [name for name in ('train', 'validation') if name in splits]
  test = splits['test'].arrays
  (x, x_test), *conditions = (
      (np.concatenate([splits[name].arrays[key].numpy() for name in names]),
       test[key].numpy()) for key in ('x', 'condition') if key in test)
  spec: Any = model.condition_spec
  conditions = [
      np.eye(spec.num_labels)[c] if spec.num_labels else
      c.reshape([len(c), -1]) for pair in conditions for c in pair]
  found = mixtures.fit_mixtures(
      x, x_test, coordinates.maps_of(model.schema.types, x),
      conditions=conditions, max_seconds=max_seconds, seed=seed)
  train_nll = likelihood.nll(
      model, splits['train'], strategy=strategy, num_examples=min(
          _MAX_TRAINING_ROWS, splits['train'].num_examples)).mean(axis=0)
  result = compare(
      test_nll, found, train_nll, is_best, model.evaluates_bounds,
      model.base.is_data_dependent)
  schema = model.schema
  unbounded = column_checks.unbounded(
      schema.names, x, [column.type for column in schema.modelled])
  places = ', '.join(f'{name} {why}' for name, why in unbounded.items())
  return result._replace(summary=result.summary + (
      ' Their means are linear in the condition.' if conditions else '') + (
          f' Nats are unbounded there and compare nothing: {places}.'
          if places else ''))
