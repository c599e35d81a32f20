"""The interface of log-determinant estimators, and a pass with one.

Also the base class of the estimators that sum a series.
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
  """An estimator of the log-determinant of a map that is built from `g`.

  Subclasses are frozen dataclasses whose fields are the arguments of their spec
  (`roulette:poisson:2,exact=2`); `Estimator.get` parses one, `spec()` returns
  it. They define `draw` and `evaluate`. An estimator determines the random
  draws and the weights of terms; the coefficients of the series are those of
  the bijection, see `series.LogDetSeries`.

  Attributes:
    is_random: whether repeated draws differ.
    is_skipped: whether no log-determinant is computed at all.
    has_series: whether it sums a series, with the gradients of mode `memory`.
    is_biased: whether the mean over draws differs from the log-determinant.
    batch_dependent: whether the estimate of an example depends on the other
      examples of its batch.
  """

  registry = registries.ESTIMATORS
  is_random: ClassVar[bool] = True
  is_skipped: ClassVar[bool] = False
  has_series: ClassVar[bool] = False
  is_biased: ClassVar[bool] = False
  batch_dependent = False  # Of some a field.

  @property
  def num_terms(self) -> int | None:
    """Number of terms of the series, where all draws have as many."""
    return None

  def draw(self, x: tf.Tensor, seed: random.SeedLike) -> Any:
    """Draws the random tensors of one evaluation; by default none.

    Args:
      x: `[B, ...]`, gives the shape and dtype of probes.
      seed: see `random.as_seed`. Draws that the examples share depend only on
        the seed, so replicas with the same seed do equal work.

    Returns:
      Tensors in any structure; tests may pass others to `evaluate`.
    """
    del x, seed  # AutoGraph wants a body.

  def evaluate(
      self, g: residual_function.ResidualFunction, variables: Any, state: Any,
      x: tf.Tensor, draw: Any, *, memory: str = 'recompute',
      series: series_lib.LogDetSeries = series_lib.RESIDUAL_SERIES,
      context: Sequence[tf.Tensor] = ()) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `g(x)` and the estimate of the log-determinant at `x`.

    Arguments and gradients are those of `forward_and_log_det`.

    Returns:
      `g(x)`: like `x`; `log_det`: `[B]`, nats.
    """
    raise NotImplementedError

  def per_example(self) -> Self:
    """Returns this estimator, with `batch_dependent` False."""
    return self

  def for_bound(self, lipschitz_bound: float) -> Self:
    """Returns the estimator to use for a `g` with this Lipschitz bound."""
    return self

  def max_batch_size(self, event_size: int, dtype: tf.DType) -> int | None:
    """Returns the largest batch size that fits in memory; None if unlimited.

    Raises:
      InvalidValueError: if a single example does not fit.
    """


class Draw(NamedTuple):
  """The random draw of one evaluation of a series.

  Attributes:
    stop: a scalar tensor, shared by the batch, that decides when the series
      ends: the number of terms (int32), or a threshold (float64) of
      `AdaptiveRoulette`. A tuple of numbers of terms where `RussianRoulette`
      averages several.
    probe: the tensor `v`, shaped like the input `x`.
  """

  stop: tf.Tensor | tuple[tf.Tensor, ...]
  probe: tf.Tensor


@dataclasses.dataclass(frozen=True)
class SeriesEstimator(Estimator):
  """An estimator that sums a truncated series; subclasses truncate it.

  One pass over `u_k = (J^T)^k v` gives the value and the vector of the
  gradient (Chen et al., 2019, Theorems 1 and 2), see `series.LogDetSeries`.
  `memory` says how the gradient is computed, see `memory_modes`.

  Args:
    probe: 'rademacher' (+-1 entries, the lower variance) or 'gaussian' (as in
      the paper).

  Example:
    >>> class TwoTerms(numerics.FixedTruncation):
    ...   def draw_stop(self, seed):
    ...     return tf.constant(2)
    >>> isinstance(TwoTerms(5), numerics.SeriesEstimator)
    True
  """

  has_series: ClassVar[bool] = True

  _: dataclasses.KW_ONLY
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
    """Returns the weights of terms for a draw, and where the series ends."""
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
    seed: random.SeedLike = None, draw: Draw | None = None,
    memory: str = 'recompute',
    series: series_lib.LogDetSeries = series_lib.RESIDUAL_SERIES,
    context: Sequence[tf.Tensor] = ()) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns `f(x) = x + g(x)` and an estimate of `log|det df/dx|`.

  Or of another log-determinant, given as a `series` in powers of `J = dg/dx`.

  Gradients are exact for per-example cotangents of both outputs, with respect
  to `x`, to `variables` and to `context` (`memory='naive'` differentiates the
  value; the other modes return the unbiased Neumann estimate at the same draw,
  and agree with each other). The backward pass may run more than once.

  Args:
    g: acts example by example, `Lip(g) < 1`.
    variables: of `g`, a nested list of floating-point tensors.
    x: `[B, ...]`.
    estimator: of the log-determinant.
    state: the state of the norms of `g`.
    seed: see `random.as_seed`.
    draw: a given draw, in place of `estimator.draw(x, seed)`.
    memory: one of `registries.MEMORY_MODES`, for estimators with a series.
    series: the log-determinant to estimate, that of `f` by default.
    context: further inputs of `g`, tensors `[B, ...]`.

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
  value, log_det = estimator.evaluate(
      g, variables, list(state), x,
      estimator.draw(x, seed) if draw is None else draw, memory=memory,
      series=series, context=context)
  return x + value, log_det
