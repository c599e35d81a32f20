"""What an estimator of a log-determinant is."""

import dataclasses
from typing import Any, ClassVar, Self

import tensorflow as tf

from tf_resflow.configuration import registries
from tf_resflow.configuration import registry as registry_lib
from tf_resflow.configuration import spec
from tf_resflow.numerics import random
from tf_resflow.numerics import residual_function
from tf_resflow.numerics.log_det import series as series_lib


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
    batch_dependent: whether the estimate of an example depends on the other
      examples of its batch.
    num_terms: number of terms of the series, where all draws have as many.
  """

  registry: ClassVar[registry_lib.Registry] = registries.ESTIMATORS
  is_random: ClassVar[bool] = True
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
    del x, seed

  def evaluate(
      self, g: residual_function.ResidualFunction, variables: Any, state: Any,
      x: tf.Tensor, draw: Any, *, memory: str = 'recompute',
      series: series_lib.LogDetSeries = series_lib.RESIDUAL,
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `g(x)` and the estimate of the log-determinant at `x`.

    Gradients are exact for per-example cotangents of both, with respect to `x`
    and to `variables`.

    Args:
      g: the function.
      variables: its variables.
      state: the state of its norms.
      x: `[B, ...]`.
      draw: what `draw` returned.
      memory: one of `registries.MEMORY_MODES`, for estimators that run a
        series.
      series: the log-determinant that is meant, that of `x + g(x)` by default.

    Returns:
      `g(x)`: like `x`; `log_det`: `[B]`, nats.
    """
    raise NotImplementedError

  @property
  def mean_num_terms(self) -> float | None:
    """The mean number of terms; None where it depends on `g`."""
    return self.num_terms

  def per_example(self) -> Self:
    """Returns this estimator, or its kin without `batch_dependent`."""
    return self

  def for_bound(self, lipschitz_bound: float) -> Self:
    """Returns the estimator to use for a `g` of this Lipschitz bound."""
    del lipschitz_bound
    return self

  def max_batch_size(self, event_size: int, dtype: tf.DType) -> int | None:
    """Returns how many examples fit at a time; None for any number.

    Raises:
      InvalidValueError: if not even one does.
    """
    del event_size, dtype
    return None
