"""What a bijection is."""

import math
from typing import Any, NamedTuple

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers import condition_spec as spec_lib
from tf_resflow.layers.lipschitz import lipschitz_layer


class Solve(NamedTuple):
  """A fixed point that a pass through a bijection solved for.

  Attributes:
    bijection: whose equation it is.
    target: `[B, ...]`, what the bijection was to be solved for: `x` with
      `f(x) = target` in an inverse.
    solution: a `numerics.Solution`, with the convergence of every example.
    solver: the `numerics.Solver` that found it.
    condition: that of the bijection.
  """

  bijection: 'Bijection'
  target: tf.Tensor
  solution: numerics.Solution
  solver: numerics.Solver
  condition: Any = None

  def residual(self) -> tf.Tensor:
    """Returns `f(x) - target`, computed by other means than the solver's."""
    return base_layer.call_with(
        self.bijection, self.solution.x, self.condition) - self.target


class Transformed(NamedTuple):
  """What comes out of a pass from data to latents.

  Attributes:
    y: `[B, ...]`.
    log_det: `[B]`, `log|det dy/dx|` in nats.
    solves: of the parts whose forward direction is a solve.
    features: tensors `[B, ...]` that `FeatureTap`s let out on the way.
  """

  y: tf.Tensor
  log_det: tf.Tensor
  solves: tuple[Solve, ...] = ()
  features: tuple[tf.Tensor, ...] = ()


class Inverted(NamedTuple):
  """What comes out of a pass from latents to data.

  Attributes:
    x: `[B, ...]`.
    solves: in the order of the pass.
  """

  x: tf.Tensor
  solves: tuple[Solve, ...] = ()


class SlopeBounds(NamedTuple):
  """How much a bijection may stretch: `a |d| <= |f(x + d) - f(x)| <= b |d|`.

  Attributes:
    least: `a`.
    greatest: `b`.
    order: of the norm in which they hold; None for every l_p.
    known_by: how, one of `lipschitz_layer.KNOWN_BY`.
  """

  least: float
  greatest: float
  order: float | None = None
  known_by: str = 'construction'

  def then(self, other: 'SlopeBounds') -> 'SlopeBounds':
    """Returns the bounds of `other` behind this bijection.

    The order of a composition of two orders is NaN: its bounds hold in none.
    """
    orders = {self.order, other.order} - {None}
    return SlopeBounds(
        self.least * other.least, self.greatest * other.greatest,
        math.nan if len(orders) > 1 else orders.pop() if orders else None,
        lipschitz_layer.least_known([self.known_by, other.known_by]))


class Bijection(base_layer.BaseLayer):
  """An invertible layer `f` with a log-determinant.

  Events are `[...]` behind one batch axis; `log_det` is `log|det df/dx|`, in
  nats, shape `[B]`. `call` is the forward direction, data to latents.

  A kind defines `forward_and_log_det` and `inverse`, as below. One whose passes
  solve equations, or which is made of others, derives from `SolvingBijection`
  and defines `transform` and `solve_inverse` instead, which report their
  solves.

  Attributes:
    is_random: whether the log-determinant is drawn, so that it takes a seed.
    condition_spec: what the condition of one example is; None where none makes
      a difference. Such kinds pass over one.
    has_certificate: whether it has a `g` whose Lipschitz bound can be
      certified: `lipschitz_bound`, `norm_estimate()` and `certificate()`.
    is_data_dependent: whether batches set weights, see `ActNorm` and
      `MovingMean`.
    has_moving_statistics: whether `update_statistics` changes something.
    slopes: the `slope_bounds` of all weights; 0 and infinity if not known.

  Example:
    >>> class Double(layers.Bijection):
    ...   def forward_and_log_det(self, x, **unused):
    ...     log_det = x.shape[1] * tf.math.log(2.0)
    ...     return 2.0 * x, tf.fill([tf.shape(x)[0]], log_det)
    ...   def inverse(self, y, **unused):
    ...     return 0.5 * y
    >>> y, log_det = Double().forward_and_log_det(tf.ones([5, 3]))
    >>> log_det.shape
    TensorShape([5])
  """

  is_random = False
  condition_spec: spec_lib.ConditionSpec | None = None
  has_certificate = False
  is_data_dependent = False
  has_moving_statistics = False
  slopes = SlopeBounds(0.0, math.inf)

  @property
  def takes_condition(self) -> bool:
    """Whether a condition makes a difference."""
    return self.condition_spec is not None

  @property
  def is_initialized(self) -> bool:
    """False until a first batch has set what depends on data."""
    return all(part.is_initialized for part in self.parts_within())

  def forward_and_log_det(
      self, x: tf.Tensor, *, condition: Any = None,
      seed: numerics.random.SeedLike = None,
      estimator: numerics.Estimator | None = None,
  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `f(x)` and `log|det df/dx|`.

    Args:
      x: `[B, ...]`.
      condition: `[B, ...]`, what the map depends on beside `x`; that of a
        single example, `[...]` or `[1, ...]`, is that of all.
      seed: see `numerics.random.as_seed`.
      estimator: of the log-determinant, in place of the bijection's own.

    Returns:
      `y`: `[B, ...]`; `log_det`: `[B]`, nats.

    Raises:
      tf.errors.InvalidArgumentError: where the forward direction is a solve
        and an example does not converge. Under XLA, which drops assertions,
        such an example is NaN.
    """
    raise NotImplementedError

  def inverse(self, y: tf.Tensor, *, condition: Any = None,
              solver: numerics.Solver | None = None) -> tf.Tensor:
    """Returns `x` with `f(x) = y`.

    Args:
      y: `[B, ...]`.
      condition: see `forward_and_log_det`.
      solver: of fixed points, in place of the bijection's own.

    Raises:
      tf.errors.InvalidArgumentError: when an example does not converge. Under
        XLA, which drops assertions, such an example is NaN.
    """
    raise NotImplementedError

  def transform(
      self, x: tf.Tensor, *, condition: Any = None,
      seed: numerics.random.SeedLike = None,
      estimator: numerics.Estimator | None = None) -> Transformed:
    """Does what `forward_and_log_det` does; reports in place of raising."""
    return Transformed(*self.forward_and_log_det(
        x, condition=condition, seed=seed, estimator=estimator))

  def solve_inverse(
      self, y: tf.Tensor, *, condition: Any = None,
      solver: numerics.Solver | None = None) -> Inverted:
    """Does what `inverse` does; reports in place of raising."""
    return Inverted(self.inverse(y, condition=condition, solver=solver))

  def inverse_and_log_det(
      self, y: tf.Tensor, *, condition: Any = None,
      seed: numerics.random.SeedLike = None,
      estimator: numerics.Estimator | None = None,
      solver: numerics.Solver | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `x` with `f(x) = y`, and `log|det dx/dy|`, `[B]`."""
    x = self.inverse(y, condition=condition, solver=solver)
    _, log_det = self.forward_and_log_det(
        x, condition=condition, seed=seed, estimator=estimator)
    return x, -log_det

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    return self.transform(
        inputs, condition=condition, estimator=numerics.Skip()).y

  def update_statistics(
      self, x: tf.Tensor, condition: Any = None) -> tf.Tensor:
    """Lets moving statistics see a batch; returns `f(x)` behind the change.

    A training step calls it after its update; passes change no statistics.

    Args:
      x: `[B, ...]`, a replica's part of the global batch.
      condition: see `forward_and_log_det`.
    """
    return base_layer.call_with(self, x, condition)

  def slope_bounds(self) -> SlopeBounds:
    """Returns the least and the greatest slope, with the present weights."""
    return self.slopes

  def check_weights(self) -> None:
    """Raises `InvalidValueError` for weights with which there is no inverse."""
    for part in self.parts_within():
      part.check_weights()

  def frozen(self) -> 'Bijection':
    """Returns a bijection that computes alike and keeps its present weights.

    An exported model is made so, and holds no power iteration. What has no
    weights may return itself. No gradient reaches the variables of the
    original.
    """
    return base_layer.frozen_copy(self)

  def elementary(self) -> list['Bijection']:
    """Returns the bijections that this one is made of, in forward order."""
    return [self]

  def parts_within(self) -> list['Bijection']:
    """Returns the elementary bijections that are not this one itself."""
    return [b for b in self.elementary() if b is not self]

  def constrained_layers(self) -> list:
    """Returns the linear layers within whose norms are bounded."""
    return [c for b in self.parts_within() for c in b.constrained_layers()]

  def estimators(self) -> list[numerics.Estimator]:
    """Returns the estimators within that are used where none is given."""
    return [e for b in self.parts_within() for e in b.estimators()]

  def share_functions(self, functions: dict) -> None:
    """Lets residual branches of one structure share their graphs.

    Args:
      functions: from structures to `numerics.ResidualFunction`s; is added to.
    """
    for part in self.parts_within():
      part.share_functions(functions)


def event_shape_of(shape: Any) -> tuple[int, ...]:
  """Returns the shape of one example as a tuple.

  Raises:
    InvalidValueError: if `shape` is no sequence of known sizes.

  Example:
    >>> layers.event_shape_of([4, 4, 1])
    (4, 4, 1)
  """
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


class SolvingBijection(Bijection):
  """A bijection whose passes report how their solves went.

  Subclasses define `transform` and `solve_inverse`.
  """

  def forward_and_log_det(
      self, x: tf.Tensor, *, condition: Any = None,
      seed: numerics.random.SeedLike = None,
      estimator: numerics.Estimator | None = None,
  ) -> tuple[tf.Tensor, tf.Tensor]:
    result = self.transform(
        x, condition=condition, seed=seed, estimator=estimator)
    return tuple(_checked(result.solves, [result.y, result.log_det]))

  def inverse(self, y: tf.Tensor, *, condition: Any = None,
              solver: numerics.Solver | None = None) -> tf.Tensor:
    result = self.solve_inverse(y, condition=condition, solver=solver)
    return _checked(result.solves, [result.x])[0]


def _checked(solves, outputs):
  """Returns outputs that are an error, or NaN under XLA, where a solve failed.
  """
  if not solves:
    return outputs
  checks = [numerics.check_converged(s.solution, s.bijection.name, s.solver).x
            for s in solves]
  converged = tf.reduce_all(
      tf.stack([s.solution.converged for s in solves]), axis=0)
  with tf.control_dependencies(checks):
    return [tf.where(
        tf.reshape(converged, [-1] + [1] * (output.shape.rank - 1)),
        output, tf.constant(float('nan'), output.dtype)) for output in outputs]
