"""What an estimator of a log-determinant is, and a pass with one.

And what the estimators that run a series share.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any, ClassVar, NamedTuple, Self

import tensorflow as tf

from tf_resflow.numerics import random
from tf_resflow.numerics import residual_function
from tf_resflow.numerics.log_det import series as series_lib
from tf_resflow.specs import registries
from tf_resflow.specs import spec


@dataclasses.dataclass(frozen=True)
class Estimator(spec.Specified):
  """A way to take `log|det|` of a map made of `g`, as a value.

  A log-determinant is a number, an estimator draws it. Subclasses are frozen
  dataclasses whose fields are the arguments of their spec
  (`roulette:poisson:2,exact=2`); `Estimator.get` reads one, `spec()` writes it.
  They define `draw` and `evaluate`. An estimator gives draws and weights; the
  coefficients of the series are those of the bijection, see
  `series.LogDetSeries`.

  Attributes:
    is_random: whether two draws differ; repeats are pointless otherwise.
    is_skipped: whether no log-determinant is taken at all.
    has_series: whether it runs one, and `memory` says how gradients are taken.
    is_biased: whether the mean over draws is another number than the
      log-determinant.
    batch_dependent: whether the estimate of an example depends on the other
      examples of its batch.
    num_terms: number of terms of the series, where all draws have as many.
  """

  registry = registries.ESTIMATORS
  is_random: ClassVar[bool] = True
  is_skipped: ClassVar[bool] = False
  has_series: ClassVar[bool] = False
  is_biased: ClassVar[bool] = False
  batch_dependent: ClassVar[bool] = False
  num_terms: ClassVar[int | None] = None

  def draw(self, x: tf.Tensor, seed: random.SeedLike) -> Any:
    """Draws what one evaluation needs; by default nothing.

    Args:
      x: `[B, ...]`, gives the shape and dtype of probes.
      seed: see `random.as_seed`. What the examples share depends on the seed
        alone, so replicas that share it do equal work.

    Returns:
      Tensors in a structure of the estimator's own choice; tests may pass
      others of their own to `evaluate`.
    """
    del x, seed  # AutoGraph wants a body.

  def evaluate(
      self, g: residual_function.ResidualFunction, variables: Any, state: Any,
      x: tf.Tensor, draw: Any, *, memory: str = 'recompute',
      series: series_lib.LogDetSeries = series_lib.RESIDUAL_SERIES,
      context: Sequence[tf.Tensor] = ()) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `g(x)` and the estimate of the log-determinant at `x`.

    Gradients are exact for per-example cotangents of both, with respect to `x`,
    to `variables` and to `context`.

    Args:
      g: the function.
      variables: its variables.
      state: the state of its norms.
      x: `[B, ...]`.
      draw: what `draw` returned.
      memory: one of `registries.MEMORY_MODES`, for estimators that run a
        series.
      series: the log-determinant that is meant, that of `x + g(x)` by default.
      context: what `g` depends on beside `x`, tensors `[B, ...]`.

    Returns:
      `g(x)`: like `x`; `log_det`: `[B]`, nats.
    """
    raise NotImplementedError

  def per_example(self) -> Self:
    """Returns this estimator, or its kin without `batch_dependent`."""
    return self

  def for_bound(self, lipschitz_bound: float) -> Self:
    """Returns the estimator to use for a `g` of this Lipschitz bound."""
    return self

  def max_batch_size(self, event_size: int, dtype: tf.DType) -> int | None:
    """Returns how many examples fit at a time; None for any number.

    Raises:
      InvalidValueError: if not even one does.
    """


class Draw(NamedTuple):
  """What one evaluation of a series draws.

  Attributes:
    stop: a scalar tensor, shared by the batch, that decides when the series
      ends: the number of terms (int32), or a threshold (float64) of
      `AdaptiveRoulette`, uniform on (0, 1]. A tuple of numbers of terms where
      `RussianRoulette` averages several.
    probe: the tensor `v`, shaped like the input `x`.
  """

  stop: tf.Tensor | tuple[tf.Tensor, ...]
  probe: tf.Tensor


@dataclasses.dataclass(frozen=True)
class SeriesEstimator(Estimator):
  """Estimates by a series that is cut off; subclasses say where.

  One pass over `u_k = (J^T)^k v` gives the value and the vector of the
  gradient (Chen et al., 2019, Theorems 1 and 2), see `series.LogDetSeries`.
  `memory` says how the gradient is computed, see `memory_modes`.

  Args:
    probe: 'rademacher' (+-1 entries, the lower variance) or 'gaussian' (as in
      the paper).
  """

  has_series: ClassVar[bool] = True

  probe: str = spec.option('rademacher', 'probe')

  def __post_init__(self):
    registries.PROBES.check(self.probe)

  def draw(self, x: tf.Tensor, seed: random.SeedLike) -> Draw:
    seed = random.as_seed(seed)
    return Draw(
        self.draw_stop(random.fold_in(seed, 0)),
        registries.PROBES.get(self.probe)(
            tf.shape(x), random.fold_in(seed, 1), dtype=x.dtype))

  def draw_stop(self, seed: random.Seed) -> tf.Tensor | tuple[tf.Tensor, ...]:
    """Returns `Draw.stop`."""
    raise NotImplementedError

  def schedule(self, draw: Draw) -> series_lib.Schedule:
    """Returns the weights of the terms for a draw, and when they end."""
    raise NotImplementedError

  def evaluate(
      self, g: residual_function.ResidualFunction, variables: Any, state: Any,
      x: tf.Tensor, draw: Draw, *, memory: str = 'recompute',
      series: series_lib.LogDetSeries = series_lib.RESIDUAL_SERIES,
      context: Sequence[tf.Tensor] = ()) -> tuple[tf.Tensor, tf.Tensor]:
    return registries.MEMORY_MODES.get(memory)(
        g, variables, state, x, draw, self, series, context)


def forward_and_log_det(
    g: residual_function.ResidualFunction, variables: Any, x: tf.Tensor,
    estimator: Estimator, *, state: Sequence[Any] = (),
    seed: random.SeedLike = None, draw: Any = None, memory: str = 'recompute',
    series: series_lib.LogDetSeries = series_lib.RESIDUAL_SERIES,
    context: Sequence[tf.Tensor] = ()) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns `f(x) = x + g(x)` and an estimate of `log|det df/dx|`.

  Or of another log-determinant that is a series in powers of `J = dg/dx`.

  Gradients are exact for per-example cotangents of both outputs, with respect
  to `x`, to `variables` and to `context` (`memory='naive'` differentiates the
  value; the other modes return the unbiased Neumann estimate at the same draw,
  and agree with each other). Backward may run more than once.

  Args:
    g: acts example by example, `Lip(g) < 1`.
    variables: of `g`, a nested list of floating-point tensors.
    x: `[B, ...]`.
    estimator: of the log-determinant.
    state: the state of the norms of `g`.
    seed: see `random.as_seed`.
    draw: a forced draw, in place of `estimator.draw(x, seed)`.
    memory: one of `registries.MEMORY_MODES`, for estimators with a series.
    series: the log-determinant that is meant, that of `f` by default.
    context: what `g` depends on beside `x`, tensors `[B, ...]`.

  Returns:
    `y`: like `x`; `log_det`: `[B]`, nats.

  Example:
    >>> g = numerics.ResidualFunction(lambda weights, x: weights[0] * x)
    >>> y, log_det = numerics.forward_and_log_det(
    ...     g, [tf.constant(0.5)], tf.ones([5, 2]), numerics.RussianRoulette())
    >>> log_det.shape
    TensorShape([5])

  References:
    Chen et al., 2019, Theorems 1 and 2, Equations 7 to 9.
  """
  others = {'context': context} if context else {}
  if series is not series_lib.RESIDUAL_SERIES:
    others['series'] = series
  value, log_det = estimator.evaluate(
      g, variables, list(state), x,
      estimator.draw(x, seed) if draw is None else draw, memory=memory,
      **others)
  return x + value, log_det
