"""The evaluation of a flow on a part of the data of its run."""

from collections.abc import Callable
import functools
import os
from typing import Any

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.evaluation import bayes
from tf_resflow.workflow import runs

# Most labels by which Bayes' rule classifies unless it is asked to.
_MAX_LABELS = 32


def evaluate(
    flow: models.Flow, part: str | None = None, *,
    num_examples: int | None = None, num_reconstructions: int | None = None,
    certify: bool | None = None, classify: bool | None = None,
    compare: str | os.PathLike | None = None,
    importance_samples: int | None = None,
    data_dir: str | os.PathLike | None = None,
    open_fn: Callable[[str], datasets.Split] | None = None, **settings: Any,
) -> evaluation.Results:
  """Evaluates a flow on a part of the data of its run.

  Args:
    flow: of `fit` or `load`.
    part: 'train', 'validation' or 'test', by default the one held out: 'test',
      or 'validation' without one.
    num_examples: evaluate only the first ones.
    num_reconstructions: number of examples to invert; all by default.
    certify: compute guaranteed Lipschitz bounds; by default for vectors and
      small built-in data sets.
    classify: classify by Bayes' rule, if the condition is the label; by default
      where that takes one draw for each of up to 32 labels.
    compare: an .npz file of `tf_resflow baselines`, to whose models the flow is
      compared example by example.
    importance_samples: `K`, for the bound of `importance.importance_bound`
      as well.
    data_dir: folder of prepared data, by default that of the run.
    open_fn: gives the parts by their names, if they are open already.
    **settings: see `evaluation.EvaluationSettings`.

  Returns:
    The results of `evaluation.evaluate`, with those of `bayes.classify`, of
    `importance_bound`, and with `paired_differences`, where these are computed.

  Raises:
    InvalidValueError: if the data have changed, are gone or too few, or an
      argument does not suit the flow.
  """
  run = runs.of(flow, 'a part is evaluated')
  spec = flow.condition_spec
  num_labels = spec.num_labels if spec else 0
  errors.check(
      num_labels or not classify, 'classify', 'true',
      problem='requires a flow whose condition is the label',
      advice='Train with --condition_on=label.')
  settings.setdefault('strategy', run.strategy)
  used = evaluation.EvaluationSettings.of(flow, **settings, dequantizes=True)
  open_fn = open_fn or functools.partial(run.open, data_dir=data_dir)
  part = part or run.held_out
  split = open_fn(part)
  runs.check_counts(split, f'the {part} split', num_examples=num_examples,
                    num_reconstructions=num_reconstructions)
  errors.check(not compare or split.weights is None, 'compare', compare,
               problem='cannot be used with weights of rows')
  others = evaluation.example_files.read_bits(
      compare, num_examples or split.num_examples, {
          'dataset': run.config.data.dataset, 'split': part,
          'num_levels': split.num_levels, 'image_shape': split.event_shape}
  ) if compare else {}
  # First, since it refuses what is too noisy.
  bound = None if importance_samples is None else (
      evaluation.importance.importance_bound(
          flow, split, importance_samples, num_examples=num_examples,
          **settings))
  results = evaluation.evaluate(
      flow, split, num_examples=num_examples,
      num_reconstructions=num_reconstructions,
      certify=run.should_certify(certify), settings=used).extended(
          first={**runs.header(flow, used), 'split': part})
  if classify is None:
    classify = 0 < num_labels <= _MAX_LABELS and (
        evaluation.scoring_settings(flow).num_repeats == 1)
  if classify:
    classes = bayes.classify(
        flow, split, bayes.log_frequencies(open_fn('train')),
        num_examples=num_examples, seed=used.seed, strategy=used.strategy,
        batch_size=used.batch_size, verbose=used.verbose)
    results = results.extended(classes.numbers, classes.arrays)
  if bound is not None:
    results = results.extended(bound.numbers, bound.arrays)
  return _compared(results, flow.unit, others)


def _compared(results, unit, others):
  """Adds the differences to other models on the same examples."""
  differences, notes = {}, []
  for name, other in others.items():
    difference = evaluation.statistics.paired_difference(
        results.arrays[unit].mean(axis=0), other)
    notes.append(
        f'flow (a) against {name} (b): a is '
        f'{"below" if difference.mean < 0 else "above"} b by '
        f'{abs(difference.mean):.4f} +- {difference.stderr:.4f} '
        f'({abs(difference.num_stderrs):.1f} standard errors, '
        f'{difference.num_examples} pairs)')
    differences[name] = {
        'mean': difference.mean, 'stderr': difference.stderr}
  return results.extended(
      {'paired_differences': differences} if others else {}, notes=notes)
