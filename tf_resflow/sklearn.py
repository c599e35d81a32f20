"""Flows as estimators of scikit-learn: densities, and rows of low density."""

from collections.abc import Mapping
import dataclasses
from typing import Any, Self
import warnings

import numpy as np
import pandas as pd
from sklearn import base as sklearn_base
from sklearn.utils import validation

from tf_resflow import errors
from tf_resflow import training
from tf_resflow import workflow

# Parameters that are no settings of `workflow.fit`.
_OWN = {'random_state', 'settings', 'alpha'}

# Of rows: what kernels of matrix products leave over they sum in other orders.
_MULTIPLE = 64


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class DensityEstimator(sklearn_base.DensityMixin, sklearn_base.BaseEstimator):
  """A flow of the rows of an array or a data frame, see `tf_resflow.fit`.

  It holds out rows for validation, but no test rows, which are those of
  `cross_val_score` and others. Parameters that are None have the values of the
  flagfile `table`.

  Args:
    num_steps, num_blocks, hidden_units, learning_rate, base, input_noise,
      column_types, num_validation: see `tf_resflow train --help`.
    settings: further ones, by their names.
    random_state: seed, an integer or a `RandomState`.
    verbose: whether to print the log and the progress.

  Attributes:
    flow_: the `models.Flow`.
    n_features_in_, feature_names_in_: as in scikit-learn.

  Example:
    >>> x = np.random.default_rng(0).normal(size=[60, 3])
    >>> estimator = DensityEstimator(num_steps=2, num_blocks=1, base='normal')
    >>> estimator = estimator.fit(x)
    >>> estimator.score_samples(x).shape, estimator.sample(3).shape
    ((60,), (3, 3))
  """

  num_steps: int | None = None
  num_blocks: int | None = None
  hidden_units: Any = None
  learning_rate: float | None = None
  base: str | None = None
  input_noise: float | None = None
  column_types: Any = None
  num_validation: int | None = None
  settings: Mapping[str, Any] | None = None
  random_state: Any = 0
  verbose: bool = False

  def fit(self, X: Any, y: Any = None) -> Self:  # pylint: disable=invalid-name
    """Trains; `y` is ignored."""
    del y
    settings = {name: value for name, value in self.get_params().items()
                if name not in _OWN and value is not None}
    try:
      self.flow_ = workflow.fit(
          self._frame(X, reset=True), test_rows='none', evaluate_at_end=False,
          seed=_seed(self.random_state), **settings | dict(self.settings or {}))
    except training.TrainingInterruptedError as error:  # By another signal.
      raise SystemExit(f'{error}') from error
    if self.flow_.run.is_interrupted:  # A search would go on.
      raise KeyboardInterrupt
    return self

  def score_samples(self, X: Any) -> np.ndarray:  # pylint: disable=invalid-name
    """Returns `log p(x)` of each row, nats; see `Flow.log_prob`."""
    validation.check_is_fitted(self)
    return self._scores(self._frame(X))

  def score(self, X: Any, y: Any = None) -> float:  # pylint: disable=invalid-name
    """Returns the mean of `log p(x)`, nats a row."""
    del y
    return float(self.score_samples(X).mean())

  def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
    """Draws rows `[n_samples, D]`."""
    validation.check_is_fitted(self)
    return self.flow_.sample_frame(
        n_samples, seed=_seed(random_state)).to_numpy()

  def _scores(self, rows):
    """Returns scores that do not depend on the other rows, in rounding, too."""
    padded = np.arange(-(-len(rows) // _MULTIPLE) * _MULTIPLE)
    scores = self.flow_.score_samples(
        rows.iloc[np.minimum(padded, len(rows) - 1)])
    return np.float64(scores[:len(rows)])

  def _frame(self, x, reset=False):
    """Returns checked rows as a data frame."""
    rows = validation.validate_data(
        self, x, reset=reset, ensure_min_samples=2 if reset else 1)
    return pd.DataFrame(rows, columns=getattr(
        self, 'feature_names_in_', [f'x{i}' for i in range(rows.shape[1])]))


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class OutlierDetector(sklearn_base.OutlierMixin, DensityEstimator):
  """Finds rows of low density, at a false alarm rate.

  The threshold is `log p(x)` of the `k`-th lowest of `m` validation rows, on
  which weights were not trained, `k = floor(alpha (m + 1))`, at least 1: of new
  rows that are like these a share of `k / (m + 1)` is below it on average. That
  is at most `alpha` if there are `1 / alpha - 1` validation rows or more. (The
  best step was chosen on these rows, too, as it is in all runs.)

  Args:
    alpha: that share, between 0 and 1, by default 0.01.

  Attributes:
    offset_: the threshold, nats.

  Example:
    >>> x = np.random.default_rng(0).normal(size=[200, 3])
    >>> found = OutlierDetector(num_steps=2, num_blocks=1, base='normal')
    >>> found.fit(x).predict([[0.0] * 3, [9.0] * 3])
    array([ 1, -1])
  """

  alpha: float = 0.01

  def fit(self, X: Any, y: Any = None) -> Self:  # pylint: disable=invalid-name
    """Trains, and finds the threshold; `y` is ignored."""
    errors.check(0.0 < self.alpha < 1.0, 'alpha', self.alpha, 'between 0 and 1')
    super().fit(X)
    scores = np.sort(self._scores(pd.DataFrame(
        self.flow_.run.open('validation').arrays['x'].numpy(),
        columns=self.flow_.schema.names)))
    rank = int(self.alpha * (len(scores) + 1))
    if not rank:
      warnings.warn(
          f'With {len(scores)} validation rows a share of about '
          f'{1.0 / (len(scores) + 1):.3f} of new rows is called odd, not alpha='
          f'{self.alpha:g}, which needs {int(np.ceil(1.0 / self.alpha)) - 1}.',
          stacklevel=2)
    self.offset_ = float(scores[max(rank, 1) - 1])
    return self

  def decision_function(self, X: Any) -> np.ndarray:  # pylint: disable=invalid-name
    """Returns `log p(x) - offset_`, below 0 for rows of low density."""
    return self.score_samples(X) - self.offset_

  def predict(self, X: Any) -> np.ndarray:  # pylint: disable=invalid-name
    """Returns -1 for rows of low density, and 1 for others."""
    return np.where(self.decision_function(X) < 0.0, -1, 1)


def _seed(random_state):
  """Returns an integer."""
  if isinstance(random_state, int | np.integer):
    return int(random_state)
  return int(validation.check_random_state(random_state).randint(2**31))
