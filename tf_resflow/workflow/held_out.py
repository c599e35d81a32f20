"""Scores of the rows that a run held out, which p-values compare with.

They are those of the test part. Of a frame or an array, which a run does not
keep, its folder has the scores and hashes of these rows: `held_out.npz`, 16
bytes each, and 8 of each validation row.
"""

from collections.abc import Callable
import io
import os
from typing import Any, NamedTuple

import numpy as np

from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import training
from tf_resflow.specs import reading
from tf_resflow.specs import registries
from tf_resflow.training import files


class HeldOut(NamedTuple):
  """Rows of the test part.

  Attributes:
    log_prob_fn: returns their log p(x), nats, `[M]`.
    hashes_fn: returns their hashes, see `training.train_rows`, `[M]`, and those
      of the validation rows.
    weights: of the rows, `[M]`, or None.
    missing: why nothing is known of them, in a sentence, or ''.
  """

  log_prob_fn: Callable[[], np.ndarray]
  hashes_fn: Callable[[], list[np.ndarray]]
  weights: Any = None
  missing: str = ''


def find(flow: models.Flow, evaluate: Callable[..., Any],
         settings: evaluation.EvaluationSettings) -> HeldOut:
  """Returns the held-out rows of the run of a flow of vectors.

  They are missing if its data are gone, and it has not kept the scores, or
  these are of other weights, or estimates.

  Args:
    flow: with a run.
    evaluate: returns the scores of rows, see `evaluation.likelihood.evaluator`.
    settings: those of the scores.

  Raises:
    InvalidValueError: if the file of the scores is damaged.
  """
  path = os.path.join(flow.run.workdir, files.HELD_OUT)
  try:
    test = flow.run.open('test')
  except errors.InvalidValueError as error:
    if (flow.is_random_with(settings.estimator) or not flow.run.report
        or not os.path.exists(path)):
      return HeldOut(list, list, missing=errors.sentence(error))
    with errors.format_errors(
        'workdir', flow.run.workdir, f'a {files.HELD_OUT} of training'):
      stored = reading.read_arrays(path)
      errors.check(
          {'log_prob', 'hashes', 'others', 'step'} <= {*stored}
          and stored['log_prob'].shape == stored['hashes'].shape,
          problem='It does not have the scores and hashes of rows.')
    if (stored['step'], stored.get('is_refit', False)) != (
        flow.run.step, flow.run.is_refit):
      return HeldOut(list, list, missing=errors.sentence(error))
    return HeldOut(lambda: stored['log_prob'],
                   lambda: [stored['hashes'], stored['others']])
  x, condition = test.arrays['x'].numpy(), test.arrays.get('condition')
  return HeldOut(lambda: evaluate(x, condition)['log_prob'],
                 lambda: _hashes(flow, flow.run.open), test.weights)


def write(flow: models.Flow, open_fn: Callable[[str], Any],
          log_prob: np.ndarray) -> None:
  """Stores the scores of the test part of a run whose data are not kept.

  Those of vectors without weights, if they are exact.

  Args:
    flow: with its run.
    open_fn: opens a part of the data.
    log_prob: of the test part, `[M]`.
  """
  config, file = flow.run.config, io.BytesIO()
  if not (config.data.dataset in registries.DATASETS or flow.is_image or
          config.info.weights or flow.is_random_with(
              flow.evaluation_estimator())):
    hashes, others = _hashes(flow, open_fn)
    np.savez(file, log_prob=log_prob, hashes=hashes, others=others,
             step=flow.run.step, is_refit=flow.run.is_refit)
    files.write_bytes(
        os.path.join(flow.run.workdir, files.HELD_OUT), file.getvalue())


def _hashes(flow, open_fn):
  """Returns hashes of rows of the test part, and of the validation part."""
  parts = ['test', *['validation'] * bool(flow.run.num_validation)]
  hashes, *others = [training.train_rows.row_hashes(
      arrays['x'], arrays.get('condition'), flow.schema.dtype)
                     for arrays in (open_fn(part).arrays for part in parts)]
  return [hashes, np.concatenate([hashes[:0], *others])]
