"""How good a flow of vectors is beside a Gaussian and a mixture, in words."""

from collections.abc import Mapping
import math
from typing import NamedTuple

import numpy as np
from numpy import typing as npt

from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.evaluation import baselines as baselines_lib
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import statistics
from tf_resflow.specs import column_types

# With fewer, standard errors are too uncertain.
_FEW_ROWS = 30
_NUM_STDERRS = 2.0
# By which overfitting is seen.
_MAX_TRAINING_ROWS = 2000


class Comparison(NamedTuple):
  """How good a flow is beside the baselines.

  Attributes:
    summary: one line.
    warnings: a sentence each, if any.
  """

  summary: str
  warnings: tuple[str, ...]


def compare(
    test_nll: npt.ArrayLike, baselines: Mapping[str, baselines_lib.Baseline],
    train_nll: npt.ArrayLike | None = None,
    validation_nll: npt.ArrayLike | None = None) -> Comparison:
  """Says in words how good a flow of vectors is, and warns.

  It warns of a flow that is

  - worse than a baseline: by more than two paired standard errors or, with
    fewer than 30 test rows, at all;
  - not tested enough: with fewer than 30 test rows, or a paired standard error
    above the difference;
  - overfitted: the mean -log p of the test rows, and of the validation rows if
    given, exceeds that of the training rows by more than two standard errors,
    sqrt(s_train^2 + s_other^2), and by more than half the standard deviation
    among the training rows. With normal -log p of one variance, a row that it
    was trained on then has the higher log p in more than
    Phi(0.5 / sqrt 2) = 64 of 100 pairs with another row.

  Args:
    test_nll: `[N]`, -log p of the test rows under the flow, nats.
    baselines: what `baselines.fit_mixtures` returned for the same rows.
    train_nll: `[M]`, of training rows; None if no row is seen twice.
    validation_nll: `[V]`, of the validation rows.

  Raises:
    InvalidValueError: if there are fewer than two of some rows, the test rows
      do not pair, or a number is not finite.
  """
  test = statistics.mean_and_stderr(test_nll)
  few = test.num_examples < _FEW_ROWS
  others: list[str] = []
  sides: list[str] = []
  problems: list[str] = []
  for baseline in baselines.values():
    count = baseline.facts['num_components']
    if count == 1 and sides:  # The mixture is the Gaussian.
      continue
    label = 'the Gaussian' if count == 1 else 'the mixture'
    one = 'a Gaussian' if count == 1 else f'a mixture of {count} Gaussians'
    others.append(f'{one} {np.mean(baseline.values):.2f}')
    d = statistics.paired_difference(test_nll, baseline.values)
    sides.append(f'{abs(d.mean):.2f} +- {d.stderr:.2f} '
                 f'{"worse" if d.mean > 0 else "better"} than {label}')
    if d.mean > 0 and (few or d.num_stderrs > _NUM_STDERRS):
      problems.append(
          f'The flow is {sides[-1]}: try other --num_steps, --learning_rate or '
          '--hidden_units.')
    if few or d.stderr > abs(d.mean):
      problems.append(
          f'{test.num_examples} test rows are too few to say whether the flow '
          f'or {label} is better.')
  not_tried = baselines['gaussian_mixture'].facts.get('not_tried', ())
  late = (f' Mixtures of {", ".join(map(str, not_tried))} were not all tried, '
          'for lack of time.')
  if train_nll is not None:
    problems += _overfitting(train_nll, [test_nll] + [
        validation_nll] * (validation_nll is not None))
  return Comparison(
      f'test {test.mean:.2f} +- {test.stderr:.2f} nats a row '
      f'({test.num_examples} rows); {", ".join(others)}: the flow is '
      f'{" and ".join(sides)}.{late * bool(not_tried)}', tuple(problems))


def _overfitting(train_nll, others):
  """Returns the warning of `compare`, in a list, or none."""
  train, *others = map(statistics.mean_and_stderr, [train_nll, *others])
  gaps = [(other.mean - train.mean, math.hypot(train.stderr, other.stderr))
          for other in others]
  spread = np.std(train_nll, ddof=1)
  gap, stderr = gaps[0]
  return [
      f'The flow is overfitted: {gap:.2f} +- {stderr:.2f} nats a row better on '
      'training rows than on test rows. More --input_noise or '
      '--weight_decay, fewer --hidden_units, or more rows help.'
  ] * all(gap > max(_NUM_STDERRS * stderr, 0.5 * spread)
          for gap, stderr in gaps)


def compare_on_splits(
    model: models.Flow, test_nll: np.ndarray,
    splits: Mapping[str, datasets.Split], *, max_seconds: float = math.inf,
    seed: int = 0) -> Comparison:
  """Compares a flow of vectors with mixtures that are fitted to its data.

  Mixtures model the coordinates that the flow standardises, see
  `column_types.mapped`, so that all are densities, or probabilities, of the
  same rows. Rows without a density under the flow are left out.

  Args:
    model: an unconditional flow.
    test_nll: `[N]`, -log p of the test rows under the flow, nats.
    splits: 'train', 'test' and, if there is one, 'validation'.
    max_seconds, seed: see `baselines.fit_mixtures`.
  """
  has_density = np.isfinite(test_nll)
  z, log_dets, known = {}, {'validation': 0.0}, {}
  for name, split in splits.items():
    x = split.arrays['x'].numpy()
    if name == 'test':
      x = x[has_density]
    else:
      known[f'{name}_nll'] = likelihood.nll(model, split, num_examples=min(
          _MAX_TRAINING_ROWS, split.num_examples)).mean(axis=0)
    z[name], log_dets[name] = column_types.mapped(
        getattr(model.config, 'column_maps', ()), x)
  if z['train'].ndim == 3:  # A point of each cell.
    rows = np.arange(len(z['train']))
    z['train'] = z['train'][rows, rows % z['train'].shape[1]]
  found = baselines_lib.fit_mixtures(
      z['train'], z['test'], z.get('validation'), test_log_det=log_dets['test'],
      validation_log_det=log_dets['validation'], max_seconds=max_seconds,
      seed=seed)
  return compare(test_nll[has_density], found, **known)
