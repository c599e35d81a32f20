"""How the time of a training step grows, by measurement.

One setting at a time is varied around a base; a model of four costs is fitted
to all measurements.
"""

from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

import numpy as np
from numpy import typing as npt
from scipy import optimize

from tf_resflow import errors
from tf_resflow.benchmarking import operations


class Measurement(NamedTuple):
  """One measured training step.

  Attributes:
    seconds: of the step.
    work: its `operations.StepWork`.
  """

  seconds: float
  work: operations.StepWork


@dataclasses.dataclass(frozen=True)
class CostModel:
  """`t = c_step + c_block B (n + 7) + F / rate + E / throughput`.

  `B (n + 7)` counts evaluations of blocks, `F` operations of linear layers, `E`
  entries of hidden layers.

  Attributes:
    seconds_per_step: `c_step`.
    seconds_per_block_evaluation: `c_block`, what launching a block costs.
    seconds_per_operation: `1 / rate`.
    seconds_per_hidden_entry: `1 / throughput`.
  """

  seconds_per_step: float
  seconds_per_block_evaluation: float
  seconds_per_operation: float
  seconds_per_hidden_entry: float

  def seconds(self, work: operations.StepWork) -> float:
    """Returns the time of a step with this work."""
    return float(np.dot(_features(work), dataclasses.astuple(self)))


def _features(work):
  return [
      1.0, work.block_evaluations, work.operations, work.hidden_entries]


def fit(measurements: Sequence[Measurement]) -> CostModel:
  """Fits a `CostModel` with non-negative costs, by relative errors.

  Args:
    measurements: at least four.

  Raises:
    InvalidValueError: if there are fewer measurements than costs.
  """
  errors.check(
      len(measurements) >= 4, 'measurements', f'{len(measurements)} of them',
      '4 or more, one for every cost')
  seconds = np.asarray([m.seconds for m in measurements])
  features = np.asarray([_features(m.work) for m in measurements])
  # Columns of very different sizes would stop the solver early.
  scale = features.max(axis=0)
  costs, _ = optimize.nnls(
      features / scale / seconds[:, np.newaxis], np.ones_like(seconds))
  return CostModel(*(float(c) for c in costs / scale))


def exponent(values: npt.ArrayLike, seconds: npt.ArrayLike) -> float:
  """Returns the slope of `log seconds` against `log values`, least squares.

  1 where time is proportional to a setting, 0 where it does not matter.

  Args:
    values: `[k]` positive numbers, `k >= 2`.
    seconds: `[k]`.
  """
  return float(np.polyfit(np.log(values), np.log(seconds), 1)[0])
