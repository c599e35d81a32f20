"""Reports of evaluations, and of the validations of a run."""

from collections.abc import Mapping
import dataclasses
import functools
import logging
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.columns import column_checks
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import inversion
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import results as results_lib
from tf_resflow.evaluation import settings as settings_lib
from tf_resflow.evaluation import statistics

_logger = logging.getLogger(__name__)


def evaluate(
    model: models.Flow, split: datasets.Split, *,
    num_examples: int | None = None, num_reconstructions: int | None = None,
    certify: bool = True, **settings: Any) -> results_lib.Results:
  """Evaluates a flow on a split.

  Args:
    model: with the weights to evaluate.
    num_examples: evaluate only the first ones.
    num_reconstructions: number of examples to invert; None for all.
    certify: compute guaranteed Lipschitz bounds.
    **settings: see `EvaluationSettings`.

  Returns:
    Numbers: `estimator`, its spec; `bits_per_dim` of images or `nats` of
    vectors, with their `_stderr` (across examples), `estimator_stderr` (of the
    mean, across repeats), `num_examples`, `num_repeats` and `num_probes`; the
    numbers of `inversion.check_inverse`; `lipschitz_bound_max` (certificate,
    None when a block is uncertified, there is none, or `certify` is off) and
    `lipschitz_power_iteration_max`; where norms are estimates
    `lipschitz_bound_exceeded_by_max` (largest relative excess over a block's
    bound that a search found, 0 if none); of a hybrid model `accuracy` and
    `cross_entropy` with their `_stderr` (across examples); if there are some,
    `num_without_density`, the number of vectors with values that their columns
    cannot take, which other results leave out; and `bits_per_dim_is`, a note
    where bits/dim are a bound because the model's augmentation is random.

    Arrays: `bits_per_dim` or `nats` `[R, N]`, the estimates; `log_prob` `[N]`,
    the mean over the repeats, and thereby over the noise of dequantisation, of
    `log p(x)`, nats; `log_prob_stderr` `[N]` of that mean; of hybrids
    `class_log_prob` `[N, K]`, nats; and `label` `[N]` where they are known.
  """
  used = settings_lib.EvaluationSettings.of(model, **settings, dequantizes=True)
  frozen = batch_map.frozen(model, used.strategy)
  log_prob = likelihood.log_probs_of_splits(frozen, settings=used)(
      split, num_examples)
  nll = model.to_loss(log_prob)
  has_density = _rows_with_density(
      model, nll, lambda: split.arrays['x'][:nll.shape[1]].numpy())
  inverse = inversion.check_inverse(
      model, split, num_examples=num_reconstructions or num_examples,
      settings=used)
  estimator = used.estimator if model.is_random else numerics.Exact()
  arrays = {model.unit: nll, 'log_prob': log_prob.mean(axis=0),
            'log_prob_stderr': statistics.stderr_per_example(log_prob)}
  numbers: dict[str, Any] = {}
  weight = None if split.weights is None else split.weights[:nll.shape[1]]
  batches = used.batches(split, nll.shape[1])
  label = _labels(batches)
  if model.has_classifier:
    arrays['class_log_prob'] = likelihood.classifications(
        frozen, used.strategy)(batches, used.seed)
    for name, value in likelihood.accuracy_and_cross_entropy(
        arrays['class_log_prob'], label, weight).items():
      numbers |= value.report(name)
  if np.any(label >= 0):
    arrays['label'] = label
  summary = statistics.summarize_repeats(
      nll[:, has_density], None if weight is None else weight[has_density])
  return _verified(
      _results(model, summary, used, has_density, arrays), model, used, inverse,
      certify).extended(numbers, first={'estimator': str(estimator)})


def _labels(batches):
  return np.concatenate([batch['label'] for batch in batches])


class Validation:
  """Validates a flow repeatedly during a run, with graphs traced once.

  Args:
    model: a flow; every call uses its current weights.
    strategy: see `EvaluationSettings`.
  """

  def __init__(
      self, model: models.Flow, strategy: tf.distribute.Strategy | None = None):
    self._model = model
    self._settings = settings_lib.EvaluationSettings.of(model)
    log_probs_fn = functools.partial(
        likelihood.log_probs_of_splits, model, strategy=strategy,
        is_repeated=True)
    self._log_probs = log_probs_fn()
    self._biased = log_probs_fn(
        estimator='training') if model.is_biased else None
    self._classify = likelihood.classifications(
        model, strategy, is_repeated=True) if model.has_classifier else None

  def __call__(self, split: datasets.Split) -> dict[str, Any]:
    """Evaluates the flow on a validation part, of two examples or more.

    Returns:
      With the model's unit for UNIT, `validation_UNIT`, unbiased;
      `validation_UNIT_stderr` across examples, and
      `validation_estimator_stderr`. If the estimators of training are
      biased, also `validation_biased_UNIT`, by these; `validation_bias`, its
      difference from the unbiased value, and `validation_bias_stderr`. For
      hybrids, `validation_accuracy` and `validation_cross_entropy`, nats.
    """
    unit, to_loss = self._model.unit, self._model.to_loss
    nll = to_loss(self._log_probs(split))
    weight = split.weights
    summary = statistics.summarize_repeats(nll, weight)
    row = {
        f'validation_{unit}': float(nll.mean()) if weight is None else
                              summary.mean,
        f'validation_{unit}_stderr': summary.stderr,
        'validation_estimator_stderr': summary.estimator_stderr}
    if self._biased is not None:
      biased = to_loss(self._biased(split))
      difference = statistics.summarize_repeats(biased - nll, weight)
      row |= {
          f'validation_biased_{unit}':
              row[f'validation_{unit}'] + difference.mean,
          'validation_bias': difference.mean,
          'validation_bias_stderr': difference.total_stderr}
    if self._classify is not None:
      batches = self._settings.batches(split)
      row |= {f'validation_{name}': value.mean for name, value in
              likelihood.accuracy_and_cross_entropy(
                  self._classify(batches), _labels(batches), weight).items()}
    return row


def report_inputs(
    model: models.Flow, x: Any, arrays: Mapping[str, np.ndarray], *,
    verify: bool = True, certify: bool = True, condition: Any = None,
    **settings: Any) -> results_lib.Results:
  """Returns the results of `likelihood.evaluate_inputs`, and a report on them.

  Args:
    model, x, condition, **settings: those of `evaluate_inputs`; examples are
      inverted with the seed 0.
    arrays: what it returned, perhaps with the arrays of `check_rows`, which is
      called otherwise.
    verify: invert the examples, and compute Lipschitz bounds.
    certify: these are guaranteed.

  Returns:
    The arrays, and numbers with the keys of `evaluate`, but for those of what
    was not verified (the `_stderr` of the
    density is None for a single example, `estimator_stderr` 0 without random
    estimates); and, if there are some, `off_grid`, 1 for rows with a value
    between the multiples of the step of its column, and `num_off_grid`.
  """
  used = settings_lib.EvaluationSettings.of(model, **settings)
  nll = arrays[model.unit]
  arrays = {**({} if 'has_density' in arrays else check_rows(model, x, nll)),
            **arrays}
  has_density, off_grid = arrays.pop('has_density'), arrays.pop('off_grid')
  errors.check(
      has_density.any(), 'inputs', problem='have no density in any row')
  # Without copies of long arrays.
  chosen = slice(None) if has_density.all() else has_density
  repeats = arrays.get('log_prob_repeats', arrays.get(
      'log_det_repeats', nll[np.newaxis]))[:, chosen]
  nll = nll[chosen]
  summary = statistics.MeanAndStderr(
      float(nll.mean()),
      statistics.mean_and_stderr(nll).stderr if len(nll) > 1 else None,
      len(nll),
      # The NLL is a linear function of log-densities.
      statistics.estimator_stderr(model.to_loss(repeats)), len(repeats))
  results = _results(model, summary, used, has_density, arrays)
  if off_grid.any():
    results = results.extended({'num_off_grid': int(off_grid.sum())}, {
        'off_grid': off_grid.astype(int)})
  if not verify:
    return results
  examples = {'x': x}
  if condition is not None:
    examples['condition'] = batch_map.conditions_for(model, condition, len(x))
  return _verified(results, model, used, inversion.check_inverse(
      model, datasets.Split.of_arrays(examples), settings=used, seed=0),
                   certify)


def check_rows(model: models.Flow, x: np.ndarray, nll: np.ndarray,
               index: Any = None) -> dict[str, np.ndarray]:
  """Returns `has_density` and `off_grid` of rows, bool `[N]`, and warns.

  Args:
    model, x: those of `evaluate_inputs`.
    nll: of the rows, `[N]`.
    index: see `column_checks.rows_with_density`.
  """
  return {
      'has_density': np.zeros(len(nll), bool) if np.isposinf(nll).all() else
                     _rows_with_density(
                         model, nll[np.newaxis], lambda: x, index),
      'off_grid': column_checks.rows_off_grids(
          x, model.schema.types, model.schema.names, index)
                  if model.augmentation.num_points else
                  np.zeros(len(nll), bool)}


def _rows_with_density(model, nll, x_fn, index=None):
  """Returns which examples have values with a density; names the others."""
  schema = model.schema
  if not schema.types or not np.isposinf(nll).any():
    return np.ones(nll.shape[1], bool)
  return column_checks.rows_with_density(
      x_fn(), schema.types, schema.names, index)


def _results(model, summary, settings, has_density, arrays):
  """Returns what is known of the density."""
  numbers = {
      **summary.report(model.unit),
      'estimator_stderr': summary.estimator_stderr,
      'num_examples': summary.num_examples, 'num_repeats': summary.num_repeats,
      'num_probes': settings.num_probes}
  if not has_density.all():
    numbers['num_without_density'] = int(np.sum(~has_density))
  num_points = model.augmentation.num_points
  if model.evaluates_bounds:
    numbers[f'{model.unit}_is'] = 'an upper bound: the mean ' + (
        'of -log p over points of each cell' if num_points else
        'over noise u of -log p(x, u) + log q(u)')
  elif num_points:
    numbers[f'{model.unit}_is'] = (
        f'-log of the mean of p over {num_points} points of the cell of each '
        'row, about -log P(x), plus the log of its steps')
  return results_lib.Results(
      numbers=numbers, arrays=arrays, unit_notes={model.unit: model.unit_note})


def _verified(results, model, settings, inverse, certify):
  """Adds the numbers of inverses, and Lipschitz bounds."""
  if settings.verbose and certify:
    _logger.info('Certifying %d blocks.', len(model.certified_bijections))
  bounds = model.lipschitz_bounds(certify=certify)
  numbers = {
      **inverse,
      'lipschitz_bound_max': _largest([b.certificate for b in bounds]),
      'lipschitz_power_iteration_max': _largest(
          [b.power_iteration for b in bounds])}
  estimated = [b for b in bounds if b.is_estimated]
  if estimated:
    numbers |= {
        'lipschitz_bound_is': 'an estimate, not proven: see --norm_bound',
        'lipschitz_bound_exceeded_by_max': max(b.excess for b in estimated)}
  num_failed = inverse['inverse_num_not_converged']
  notes = (f'note: {num_failed} inverses of a block did not converge; '
           'reconstruction_error_max counts them.',) if num_failed else ()
  return dataclasses.replace(results, bounds=bounds).extended(
      numbers, notes=notes)


def _largest(bounds):
  """Returns the largest bound; None if one is unknown, or there is none."""
  return None if None in bounds else max(bounds, default=None)
