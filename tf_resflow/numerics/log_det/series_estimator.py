"""What the estimators that run a series share."""

import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf

from tf_resflow.configuration import registries
from tf_resflow.configuration import spec
from tf_resflow.numerics import random
from tf_resflow.numerics import residual_function
from tf_resflow.numerics.log_det import estimator
from tf_resflow.numerics.log_det import series as series_lib


class Draw(NamedTuple):
  """What one evaluation of a series draws.

  Attributes:
    stop: a scalar tensor, shared by the batch, that decides when the series
      ends: the number of terms (int32), or a threshold (float64) of
      `AdaptiveRoulette`, uniform on (0, 1].
    probe: the tensor `v`, shaped like the input `x`.
  """

  stop: tf.Tensor
  probe: tf.Tensor


@dataclasses.dataclass(frozen=True)
class SeriesEstimator(estimator.Estimator):
  """Estimates by a series that is cut off; subclasses say where.

  One pass over `u_k = (J^T)^k v` gives the value and the vector of the
  gradient (Chen et al., 2019, Theorems 1 and 2), see `series.LogDetSeries`.
  `memory` says how the gradient is computed, see `memory_modes`.

  Args:
    probe: 'rademacher' (+-1 entries, the lower variance) or 'gaussian' (as in
      the paper).
  """

  probe: str = spec.option('rademacher', 'probe')

  def __post_init__(self):
    registries.PROBES.check(self.probe)

  def draw(self, x: tf.Tensor, seed: random.SeedLike) -> Draw:
    seed = random.as_seed(seed)
    return Draw(
        self.draw_stop(random.fold_in(seed, 0)),
        registries.PROBES.get(self.probe)(
            tf.shape(x), random.fold_in(seed, 1), dtype=x.dtype))

  def draw_stop(self, seed: random.Seed) -> tf.Tensor:
    """Returns the scalar `Draw.stop`."""
    raise NotImplementedError

  def schedule(self, draw: Draw) -> series_lib.Schedule:
    """Returns the weights of the terms for a draw, and when they end."""
    raise NotImplementedError

  def evaluate(
      self, g: residual_function.ResidualFunction, variables: Any, state: Any,
      x: tf.Tensor, draw: Draw, *, memory: str = 'recompute',
      series: series_lib.LogDetSeries = series_lib.RESIDUAL,
  ) -> tuple[tf.Tensor, tf.Tensor]:
    return registries.MEMORY_MODES.get(memory)(
        g, variables, state, x, draw, self, series)
