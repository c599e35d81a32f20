"""Detection of data that are out of the distribution of a run."""

import os
import re
from typing import Any

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.evaluation import out_of_distribution
from tf_resflow.numerics import random
from tf_resflow.workflow import runs


def is_file(data: Any) -> bool:
  """Whether data are an .npz file of images rather than a data set."""
  return f'{data}'.endswith('.npz') and not re.match('[a-z0-9]+:', f'{data}')


def detect(
    flow: models.Flow, other_data: Any, part: str = 'test', *,
    num_examples: int | None = None, num_repeats: int | None = None,
    estimator: Any = None, data_dir: str | os.PathLike | None = None,
    picture: str | os.PathLike | None = None, seed: int = 0, **settings: Any,
) -> evaluation.Results:
  """Measures how well log p(x) tells the images of a run from other ones.

  Args:
    flow: of `fit` or `load`, on images of integers.
    other_data: the name of a data set, for its test part, or an .npz file, see
      `evaluation.example_files.read_images`; of the same shape and levels.
    part: of the data of the run.
    num_examples: use only the first ones of both.
    num_repeats, estimator: see `evaluation.scoring_settings`.
    data_dir: folder of prepared data, by default that of the run.
    picture: file of the histograms, .png or .svg; none by default.
    seed: the scores are a function of it.
    **settings: others of `evaluation.EvaluationSettings`.

  Returns:
    Numbers: how scores were estimated, and those of
    `evaluation.out_of_distribution.compare_scores`. Arrays: those of
    `out_of_distribution.Scores`, for the other data as `ood_NAME`.

  Raises:
    InvalidValueError: if the data do not suit.
  """
  run = runs.of(flow, 'images are compared with others')
  errors.check(
      flow.is_image, 'ood_dataset',
      problem='cannot be used with vectors',
      advice='Score rows with tf_resflow score instead.')
  errors.check(
      flow.condition_spec is None, 'ood_dataset',
      problem='cannot be used with a flow p(x|c)',
      advice='Other data have no such condition.')
  settings.setdefault('strategy', run.strategy)
  used = evaluation.EvaluationSettings.of(flow, evaluation.scoring_settings(
      flow, estimator, num_repeats), **settings)
  # First, because they may not suit.
  others = _open(flow, other_data, data_dir)
  where = f'{other_data}' if is_file(other_data) else (
      f'the test part of {other_data}')
  runs.check_counts(others, where, num_examples=num_examples)
  own = run.open(part, data_dir, num_examples=num_examples)
  scores = [
      out_of_distribution.score_examples(
          flow, split, used, seed=random.fold_in(seed, i),
          noise_seed=seed * 1009 + i, num_examples=num_examples)
      for i, split in enumerate((own, others))]
  report = out_of_distribution.compare_scores(flow, *scores)
  names = f'{run.config.data.dataset}, {part}', (
      os.path.basename(other_data) if is_file(other_data) else other_data)
  if picture is not None:
    out_of_distribution.save_histograms(picture, names, report, scores)
  return evaluation.Results(
      numbers={
          **runs.header(flow, used), 'split': part, 'ood_dataset': other_data,
          'picture': picture and os.fspath(picture), 'rule': used.reason,
          'num_repeats': used.num_repeats, **report},
      arrays={f'{prefix}{name}': array
              for prefix, one in zip(('', 'ood_'), scores, strict=True)
              for name, array in one.arrays().items()},
      notes=(*out_of_distribution.sentences(report, names),))


def _open(flow, other_data, data_dir):
  """Opens the other data."""
  if is_file(other_data):
    return evaluation.example_files.read_images(
        other_data, flow, 'ood_dataset')
  data = flow.run.config.data
  info = datasets.info(other_data, 'ood_dataset')
  errors.check(
      info.is_image, 'ood_dataset', other_data, 'a data set of images')
  if info.num_levels == 256:  # What has fewer levels cannot be reduced.
    info = info.changed(num_bits=data.num_bits)
  errors.check(
      (info.event_shape, info.num_levels) == (
          flow.event_shape, flow.num_levels), 'ood_dataset', other_data,
      f'images {flow.event_shape} of {flow.num_levels} levels, as those of '
      'the run', f'These are {info.event_shape} of {info.num_levels} levels, '
      'and nothing is resized, coloured or scaled here: give an .npz file of '
      'images that suit.')
  return info.open('test', data_dir or data.data_dir)
