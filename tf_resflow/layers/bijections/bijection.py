"""The interface of bijections."""

from collections.abc import Callable, Sequence
import functools
import math
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.conditions import conditioning
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics.random import SeedLike


class Solve(NamedTuple):
  """A fixed point that a pass through a bijection solved for.

  Attributes:
    bijection: the bijection that solved it.
    equation: `f`, a function of `x`, evaluated independently of the solver.
    target: `[B, ...]`, the right-hand side of `f(x) = target`.
    solution: a `numerics.Solution`, with the convergence of every example.
    solver: the `numerics.Solver` that found it.
  """

  bijection: 'Bijection'
  equation: Callable[[tf.Tensor], tf.Tensor]
  target: tf.Tensor
  solution: numerics.Solution
  solver: numerics.Solver

  def residual(self) -> tf.Tensor:
    """Returns `f(x) - target`, evaluated independently of the solver."""
    return self.equation(self.solution.x) - self.target


# Objects or their specs; None and 'training' stand for those of bijections.
EstimatorLike: TypeAlias = numerics.Estimator | str | None
SolverLike: TypeAlias = numerics.Solver | str | None


class PassSettings(NamedTuple):
  """Settings of one pass through a bijection.

  Attributes:
    condition: `[B, ...]`, a further input of the map; `[...]` or `[1, ...]` for
      all examples.
    seed: of random draws, see `numerics.random.as_seed`.
    estimator: of the log-determinant, in place of a bijection's own.
    solver: of fixed points, in place of a bijection's own.
    is_plain: whether a `g` is evaluated layer by layer, as Keras does, and not
      by the function that series and solvers share.
    updates_statistics: whether to update moving statistics by the batch first.

  Example:
    >>> layers.PassSettings.of(estimator='exact').estimator
    exact
  """

  condition: Any = None
  seed: SeedLike = None
  estimator: numerics.Estimator | None = None
  solver: numerics.Solver | None = None
  is_plain: bool = False
  updates_statistics: bool = False

  @classmethod
  # AutoGraph would follow specs into imports, and say that it cannot.
  @tf.autograph.experimental.do_not_convert
  def of(cls, condition: Any = None, seed: SeedLike = None,
         estimator: EstimatorLike = None, solver: SolverLike = None,
         ) -> 'PassSettings':
    """Returns settings, given objects or their specs."""
    return cls(
        condition, seed,
        None if estimator == 'training' else numerics.Estimator.get(estimator),
        numerics.Solver.get(solver))


class PassResult(NamedTuple):
  """The result of one pass through a bijection, in either direction.

  Attributes:
    value: `[B, ...]`.
    log_det: `[B]`, nats: `log|det dy/dx|` of a forward pass, `log|det dx/dy|`
      of an inverse one. With `numerics.NoLogDet`, NaN if it would have to be
      estimated.
    solves: the fixed points that parts solved for, in the order of the pass.
    features: tensors `[B, ...]`, the outputs of `FeatureTap`s.
  """

  value: tf.Tensor
  log_det: tf.Tensor
  solves: tuple[Solve, ...] = ()
  features: tuple[tf.Tensor, ...] = ()

  def then(self, other: 'PassResult') -> 'PassResult':
    """Returns the result of this pass followed by another one."""
    return PassResult(
        other.value, tf.cast(self.log_det, other.log_det.dtype) + other.log_det,
        self.solves + other.solves, self.features + other.features)

  def checked(self) -> 'PassResult':
    """Returns this result behind an assertion that all solves converged.

    Under XLA, which drops assertions, examples that did not converge are NaN.
    """
    if not self.solves:
      return self
    checks = [numerics.check_converged(s.solution, s.bijection.name, s.solver).x
              for s in self.solves]
    converged = tf.reduce_all(
        tf.stack([s.solution.converged for s in self.solves]), axis=0)
    with tf.control_dependencies(checks):
      value, log_det = (tf.where(
          tf.reshape(converged, [-1] + [1] * (output.shape.rank - 1)),
          output, tf.constant(float('nan'), output.dtype))
                        for output in (self.value, self.log_det))
    return self._replace(value=value, log_det=log_det)


class BiLipschitzBounds(NamedTuple):
  """Bounds `a`, `b` of a map: `a |d| <= |f(x + d) - f(x)| <= b |d|`.

  Attributes:
    lower: `a`.
    upper: `b`.
    order: order `p` of the norm in which they hold; None for every l_p.
    bound_source: their source, one of `lipschitz_layer.BOUND_SOURCES`.
  """

  lower: float
  upper: float
  order: float | None = None
  bound_source: str = 'construction'

  def then(self, other: 'BiLipschitzBounds') -> 'BiLipschitzBounds':
    """Returns the bounds of this bijection followed by `other`.

    If their orders differ, the order is NaN: the bounds hold in no norm.
    """
    orders = {self.order, other.order} - {None}
    return BiLipschitzBounds(
        self.lower * other.lower, self.upper * other.upper,
        math.nan if len(orders) > 1 else orders.pop() if orders else None,
        lipschitz_layer.weakest_source([self.bound_source, other.bound_source]))


class Passes:
  """What follows from `transform`, which reports solves that failed.

  Those of a `models.Flow` lead from data to latents.
  """

  transform: Callable[..., PassResult]
  def forward_and_log_det(
      self, x: Any, condition: Any = None, *,
      seed: SeedLike = None, estimator: EstimatorLike = None,
      solver: SolverLike = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `f(x)` and `log|det df/dx|`.

    Args:
      x: `[B, ...]`.
      condition: see `PassSettings`.
      seed: of random draws.
      estimator: of the log-determinant, in place of the bijection's own, or
        its spec, such as 'exact'.
      solver: of fixed points, likewise.

    Returns:
      `y`: `[B, ...]`; `log_det`: `[B]`, nats.

    Raises:
      tf.errors.InvalidArgumentError: if the direction is a solve and an example
        does not converge. Under XLA, which drops assertions, it is NaN.
    """
    return self.transform(
        x, condition, seed=seed, estimator=estimator, solver=solver
    ).checked()[:2]


class Bijection(Passes, base_layer.BaseLayer):
  """An invertible layer `f` with a log-determinant.

  Events are `[...]` after one batch axis; `log_det` is `log|det df/dx|`, in
  nats, shape `[B]`. `call` is the forward direction, data to latents.

  Subclasses define `forward_pass` and `inverse_pass`; everything else follows.
  Bijections that are composed of others derive from `CompositeBijection`.
  `is_random`, `has_moving_statistics`, `keeps_shape`, `num_solves` and
  `condition_spec` follow from `parts`; others set them as attributes.

  Attributes:
    parts: the bijections that it is composed of, if any.
    has_certificate: whether it has a `g` whose Lipschitz bound can be
      certified: `lipschitz_bound`, its `order` and `bound_source`,
      `norm_estimate()` and `certificate()`.
    is_data_dependent: whether batches set weights, see `ActNorm` and
      `MovingMean`.
    slopes: `bi_lipschitz_bounds` for all weights; 0 and infinity if unknown.

  Example:
    >>> class Double(layers.Bijection):
    ...   def forward_pass(self, x, settings):
    ...     return layers.PassResult(2.0 * x, self.log_det(x))
    ...   def inverse_pass(self, y, settings):
    ...     return layers.PassResult(0.5 * y, -self.log_det(y))
    ...   def log_det(self, x):
    ...     return tf.fill([tf.shape(x)[0]], x.shape[1] * tf.math.log(2.0))
    >>> y, log_det = Double().forward_and_log_det(tf.ones([5, 3]))
    >>> log_det.shape
    TensorShape([5])
  """

  parts: Sequence['Bijection'] = ()
  has_certificate = False
  is_data_dependent = False
  slopes = BiLipschitzBounds(0.0, math.inf)

  @functools.cached_property
  def is_random(self) -> bool:
    """Whether the log-determinant is random, so that it takes a seed."""
    return any(part.is_random for part in self.parts)

  @functools.cached_property
  def has_moving_statistics(self) -> bool:
    """Whether `update_statistics` has an effect."""
    return any(part.has_moving_statistics for part in self.parts)

  @functools.cached_property
  def keeps_shape(self) -> bool:
    """Whether latents have the shape of events.

    If not, a forward pass or `build` must precede inverse passes.
    """
    return all(part.keeps_shape for part in self.parts)

  @functools.cached_property
  def num_solves(self) -> tuple[int, int]:
    """Numbers of fixed points that a forward and an inverse pass solve for."""
    return (sum(part.num_solves[0] for part in self.parts),
            sum(part.num_solves[1] for part in self.parts))

  @functools.cached_property
  def condition_spec(self) -> conditioning.ConditionSpec | None:
    """The specification of the condition of one example.

    None for bijections without a condition, which ignore it.
    """
    return conditioning.common_spec(self.parts)

  @property
  def takes_condition(self) -> bool:
    """Whether it depends on a condition."""
    return self.condition_spec is not None

  @property
  def is_initialized(self) -> bool:
    """Whether a first batch has set all data-dependent weights."""
    return all(part.is_initialized for part in self.parts)

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    """Returns `f(x)`, `log|det df/dx|`, and the fixed points solved for.

    Args:
      x: `[B, ...]`; the bijection is built for its shape.
      settings: to be passed on to parts.
    """
    raise NotImplementedError

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    """Returns `x` with `f(x) = y`, `log|det dx/dy|`, and the solves.

    With the seed of a forward pass, the log-determinant is minus the one of
    that pass, draw by draw.
    """
    raise NotImplementedError

  def transform(self, x: Any, condition: Any = None, *, seed: SeedLike = None,
                estimator: EstimatorLike = None,
                solver: SolverLike = None) -> PassResult:
    """Like `forward_and_log_det`, but reports failed solves in its result."""
    base_layer.build_once(self, x.shape)
    return self.forward_pass(
        x, PassSettings.of(condition, seed, estimator, solver))

  def solve_inverse(self, y: Any, condition: Any = None, *,
                    solver: SolverLike = None) -> PassResult:
    """Like `inverse`, but reports failed solves in its result."""
    self._build_for_inverse(y)
    return self.inverse_pass(y, PassSettings.of(
        condition, estimator=numerics.NoLogDet(), solver=solver))

  def inverse(self, y: Any, condition: Any = None, *,
              solver: SolverLike = None) -> tf.Tensor:
    """Returns `x` with `f(x) = y`.

    Arguments and errors are those of `forward_and_log_det`.
    """
    return self.solve_inverse(y, condition, solver=solver).checked().value

  def inverse_and_log_det(
      self, y: Any, condition: Any = None, *,
      seed: SeedLike = None, estimator: EstimatorLike = None,
      solver: SolverLike = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `x` with `f(x) = y`, and `log|det dx/dy|`, `[B]`."""
    self._build_for_inverse(y)
    return self.inverse_pass(y, PassSettings.of(
        condition, seed, estimator, solver)).checked()[:2]

  def _build_for_inverse(self, y):
    errors.check(
        self.built or self.keeps_shape, 'y', f'a tensor {y.shape}',
        problem=f'cannot be inverted before a forward pass of {self.name}',
        advice='Or call build(input_shape), which sets the shape of events.')
    base_layer.build_once(self, y.shape)

  def call(self, inputs: tf.Tensor, condition: Any = None, *,
           updates_statistics: bool = False) -> tf.Tensor:
    return self.forward_pass(inputs, PassSettings(
        condition, estimator=numerics.NoLogDet(), is_plain=True,
        updates_statistics=updates_statistics)).checked().value

  def update_statistics(self, x: Any, condition: Any = None) -> tf.Tensor:
    """Updates moving statistics by a batch; returns `f(x)` with the new ones.

    A training step calls it after its update, with a replica's part of the
    global batch; passes change no statistics.
    """
    base_layer.build_once(self, x.shape)
    return self.call(x, condition, updates_statistics=True)

  def bi_lipschitz_bounds(self) -> BiLipschitzBounds:
    """Returns the bi-Lipschitz bounds for the present weights."""
    return self.slopes

  def check_weights(self) -> None:
    """Raises `InvalidValueError` if a matrix is numerically singular."""
    for part in self.parts:
      part.check_weights()

  def frozen(self) -> 'Bijection':
    """Returns an equal bijection whose weights are fixed at the present ones.

    Exported models are made so, and contain no power iteration. A bijection
    without weights may return itself.
    """
    return base_layer.frozen_copy(self)

  def leaves(self) -> list['Bijection']:
    """Returns the elementary bijections within, in forward order."""
    return [self]

  def constrained_layers(self) -> list:
    """Returns all linear layers within whose norms are constrained."""
    return [c for b in self.parts for c in b.constrained_layers()]

  def estimators(self) -> list[numerics.Estimator]:
    """Returns the default estimators of all parts."""
    return [e for b in self.parts for e in b.estimators()]

  def share_traces(self, functions: dict) -> None:
    """Lets residual branches share their graphs, `functions` by structure."""
    for part in self.parts:
      part.share_traces(functions)


def event_shape_of(shape: Any) -> tuple[int, ...]:
  """Returns the shape of one example as a tuple, if it is one."""
  sizes = tuple(shape) if isinstance(
      shape, (list, tuple, tf.TensorShape)) else (None,)
  errors.check(
      all(isinstance(size, int) and size >= 0 for size in sizes),
      'event_shape', shape, 'a list of sizes, such as [2]',
      'It is the shape of one example, without the batch axis.')
  return sizes


def zero_log_det(x: tf.Tensor) -> tf.Tensor:
  """Returns zeros `[B]`, the log-determinant of a rearrangement."""
  return common_log_det(x, tf.zeros([], x.dtype))


def common_log_det(x: tf.Tensor, log_det: tf.Tensor) -> tf.Tensor:
  """Returns a log-determinant that is the same for all examples, as `[B]`."""
  size = x.shape[0]
  return tf.fill([tf.shape(x)[0] if size is None else size], log_det)
