"""What a bijection is."""

from collections.abc import Callable, Sequence
import math
from typing import Any, NamedTuple

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.conditions import conditioning
from tf_resflow.layers.lipschitz import lipschitz_layer


class Solve(NamedTuple):
  """A fixed point that a pass through a bijection solved for.

  Attributes:
    bijection: which solved it.
    equation: `f`, a function of `x`; other means than the solver's.
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
    """Returns `f(x) - target`, computed by other means than the solver's."""
    return self.equation(self.solution.x) - self.target


# Objects, or specs of them; None is a bijection's own, and so is 'own'.
EstimatorLike = numerics.Estimator | str | None
SolverLike = numerics.Solver | str | None
_OWN = 'own'


class PassSettings(NamedTuple):
  """What a pass through a bijection is asked for, handed on as a whole.

  Attributes:
    condition: `[B, ...]`, what the map depends on beside its input; that of a
      single example, `[...]` or `[1, ...]`, is that of all.
    seed: of what is drawn, see `numerics.random.as_seed`.
    estimator: of the log-determinant, in place of a bijection's own.
    solver: of fixed points, in place of a bijection's own.
    is_plain: whether a `g` is evaluated layer by layer, as Keras does, and not
      by the function that series and solvers share.
    updates_statistics: whether moving statistics see the batch first.
  """

  condition: Any = None
  seed: numerics.random.SeedLike = None
  estimator: numerics.Estimator | None = None
  solver: numerics.Solver | None = None
  is_plain: bool = False
  updates_statistics: bool = False

  @classmethod
  # AutoGraph would follow specs into imports, and say that it cannot.
  @tf.autograph.experimental.do_not_convert
  def of(cls, condition: Any = None, seed: numerics.random.SeedLike = None,
         estimator: EstimatorLike = None, solver: SolverLike = None,
         ) -> 'PassSettings':
    """Returns settings of what callers give, objects or their specs.

    Both `None` and 'own' stand for the estimators of the bijections.

    Example:
      >>> layers.PassSettings.of(solver='banach').solver.spec()
      'banach'
    """
    return cls(
        condition, seed,
        None if estimator == _OWN else numerics.Estimator.get(estimator),
        numerics.Solver.get(solver))


class PassResult(NamedTuple):
  """What comes out of a pass, in either direction.

  Attributes:
    value: `[B, ...]`.
    log_det: `[B]`, nats: `log|det dy/dx|` of a forward pass, `log|det dx/dy|`
      of an inverse one. With `numerics.NoLogDet`, what would have to be
      estimated is left out.
    solves: of the parts that solved for a fixed point, in the order of the
      pass.
    features: tensors `[B, ...]` that `FeatureTap`s let out on the way forward.
  """

  value: tf.Tensor
  log_det: tf.Tensor
  solves: tuple[Solve, ...] = ()
  features: tuple[tf.Tensor, ...] = ()

  def then(self, other: 'PassResult') -> 'PassResult':
    """Returns the result of this pass and another one behind it."""
    return PassResult(
        other.value, self.log_det + other.log_det, self.solves + other.solves,
        self.features + other.features)

  def checked(self) -> 'PassResult':
    """Returns a result that is an error where a solve failed.

    Under XLA, which drops assertions, such an example is NaN.

    Raises:
      tf.errors.InvalidArgumentError: if an example did not converge.
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
  """How much a bijection may stretch: `a |d| <= |f(x + d) - f(x)| <= b |d|`.

  Attributes:
    lower: `a`.
    upper: `b`.
    order: of the norm in which they hold; None for every l_p.
    bound_source: how, one of `lipschitz_layer.BOUND_SOURCES`.
  """

  lower: float
  upper: float
  order: float | None = None
  bound_source: str = 'construction'

  def then(self, other: 'BiLipschitzBounds') -> 'BiLipschitzBounds':
    """Returns the bounds of `other` behind this bijection.

    The order of a composition of two orders is NaN: its bounds hold in none.
    """
    orders = {self.order, other.order} - {None}
    return BiLipschitzBounds(
        self.lower * other.lower, self.upper * other.upper,
        math.nan if len(orders) > 1 else orders.pop() if orders else None,
        lipschitz_layer.weakest_source([self.bound_source, other.bound_source]))


class Bijection(base_layer.BaseLayer):
  """An invertible layer `f` with a log-determinant.

  Events are `[...]` behind one batch axis; `log_det` is `log|det df/dx|`, in
  nats, shape `[B]`. `call` is the forward direction, data to latents.

  A kind defines `forward_pass` and `inverse_pass`; everything else follows. One
  that is made of others derives from `CompositeBijection`.

  Attributes:
    parts: the bijections that it is made of; none of most.
    is_random: whether the log-determinant is drawn, so that it takes a seed.
    condition_spec: what the condition of one example is; None where none makes
      a difference. Such kinds pass over one.
    has_certificate: whether it has a `g` whose Lipschitz bound can be
      certified: `lipschitz_bound`, `norm_estimate()` and `certificate()`.
    is_data_dependent: whether batches set weights, see `ActNorm` and
      `MovingMean`.
    has_moving_statistics: whether `update_statistics` changes something.
    keeps_shape: whether latents have the shape of events. Where they have not,
      a first pass cannot be an inverse one.
    slopes: the `bi_lipschitz_bounds` of all weights; 0 and infinity if not
      known.

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
  is_random = False
  condition_spec: conditioning.ConditionSpec | None = None
  has_certificate = False
  is_data_dependent = False
  has_moving_statistics = False
  keeps_shape = True
  slopes = BiLipschitzBounds(0.0, math.inf)

  @property
  def takes_condition(self) -> bool:
    """Whether a condition makes a difference."""
    return self.condition_spec is not None

  @property
  def is_initialized(self) -> bool:
    """False until a first batch has set what depends on data."""
    return all(part.is_initialized for part in self.parts)

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    """Returns `f(x)`, `log|det df/dx|`, and how solves went.

    Args:
      x: `[B, ...]`; the bijection is built for its shape.
      settings: of the pass; parts are handed them on as a whole.
    """
    raise NotImplementedError

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    """Returns `x` with `f(x) = y`, `log|det dx/dy|`, and how solves went.

    At the seed of a forward pass the log-determinant is minus the one there,
    draw by draw.

    Args:
      y: `[B, ...]`.
      settings: of the pass; parts are handed them on as a whole.
    """
    raise NotImplementedError

  def transform(
      self, x: tf.Tensor, condition: Any = None, *,
      seed: numerics.random.SeedLike = None, estimator: EstimatorLike = None,
      solver: SolverLike = None) -> PassResult:
    """Does what `forward_and_log_det` does; reports in place of raising."""
    base_layer.build_once(self, x.shape)
    return self.forward_pass(
        x, PassSettings.of(condition, seed, estimator, solver))

  def forward_and_log_det(
      self, x: tf.Tensor, condition: Any = None, *,
      seed: numerics.random.SeedLike = None, estimator: EstimatorLike = None,
      solver: SolverLike = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `f(x)` and `log|det df/dx|`.

    Args:
      x: `[B, ...]`.
      condition: see `PassSettings`.
      seed: of what is drawn.
      estimator: of the log-determinant, in place of the bijection's own, or
        its spec, such as 'exact'.
      solver: of fixed points, likewise.

    Returns:
      `y`: `[B, ...]`; `log_det`: `[B]`, nats.

    Raises:
      tf.errors.InvalidArgumentError: where the forward direction is a solve
        and an example does not converge. Under XLA, which drops assertions,
        such an example is NaN.
    """
    return self.transform(
        x, condition, seed=seed, estimator=estimator, solver=solver
    ).checked()[:2]

  def solve_inverse(
      self, y: tf.Tensor, condition: Any = None, *,
      solver: SolverLike = None) -> PassResult:
    """Does what `inverse` does; reports in place of raising."""
    self._build_for_inverse(y)
    return self.inverse_pass(y, PassSettings.of(
        condition, estimator=numerics.NoLogDet(), solver=solver))

  def inverse(self, y: tf.Tensor, condition: Any = None, *,
              solver: SolverLike = None) -> tf.Tensor:
    """Returns `x` with `f(x) = y`.

    Args:
      y: `[B, ...]`.
      condition: see `PassSettings`.
      solver: of fixed points, in place of the bijection's own.

    Raises:
      tf.errors.InvalidArgumentError: when an example does not converge. Under
        XLA, which drops assertions, such an example is NaN.
    """
    return self.solve_inverse(y, condition, solver=solver).checked().value

  def inverse_and_log_det(
      self, y: tf.Tensor, condition: Any = None, *,
      seed: numerics.random.SeedLike = None, estimator: EstimatorLike = None,
      solver: SolverLike = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `x` with `f(x) = y`, and `log|det dx/dy|`, `[B]`.

    The arguments are those of `forward_and_log_det`.
    """
    self._build_for_inverse(y)
    return self.inverse_pass(y, PassSettings.of(
        condition, seed, estimator, solver)).checked()[:2]

  def _build_for_inverse(self, y):
    errors.check(
        self.built or self.keeps_shape, 'y', f'a tensor {y.shape}',
        f'a forward pass of {self.name} before the first inverse one',
        'Or call build(input_shape): the shape of events does not follow.')
    base_layer.build_once(self, y.shape)

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    return self.forward_pass(inputs, PassSettings(
        condition, estimator=numerics.NoLogDet(), is_plain=True
    )).checked().value

  def update_statistics(
      self, x: tf.Tensor, condition: Any = None) -> tf.Tensor:
    """Lets moving statistics see a batch; returns `f(x)` behind the change.

    A training step calls it after its update; passes change no statistics.

    Args:
      x: `[B, ...]`, a replica's part of the global batch.
      condition: see `PassSettings`.
    """
    base_layer.build_once(self, x.shape)
    return self.forward_pass(x, PassSettings(
        condition, estimator=numerics.NoLogDet(), is_plain=True,
        updates_statistics=True)).value

  def bi_lipschitz_bounds(self) -> BiLipschitzBounds:
    """Returns the least and the greatest slope, with the present weights."""
    return self.slopes

  def check_weights(self) -> None:
    """Raises `InvalidValueError` for weights with which there is no inverse."""
    for part in self.parts:
      part.check_weights()

  def frozen(self) -> 'Bijection':
    """Returns a bijection that computes alike and keeps its present weights.

    An exported model is made so, and holds no power iteration. What has no
    weights may return itself. No gradient reaches the variables of the
    original.
    """
    return base_layer.frozen_copy(self)

  def leaves(self) -> list['Bijection']:
    """Returns the bijections that this one is made of, in forward order."""
    return [self]

  def constrained_layers(self) -> list:
    """Returns the linear layers within whose norms are bounded."""
    return [c for b in self.parts for c in b.constrained_layers()]

  def estimators(self) -> list[numerics.Estimator]:
    """Returns the estimators within that are used where none is given."""
    return [e for b in self.parts for e in b.estimators()]

  def share_traces(self, functions: dict) -> None:
    """Lets residual branches of one structure share their graphs.

    Args:
      functions: from structures to `numerics.ResidualFunction`s; is added to.
    """
    for part in self.parts:
      part.share_traces(functions)


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


def nan_log_det(x: tf.Tensor) -> tf.Tensor:
  """Returns `[B]` of NaN, a log-determinant that was not asked for."""
  return common_log_det(x, tf.constant(math.nan, x.dtype))


def common_log_det(x: tf.Tensor, log_det: tf.Tensor) -> tf.Tensor:
  """Returns a log-determinant that is the same for all examples, as `[B]`."""
  size = x.shape[0]
  return tf.fill([tf.shape(x)[0] if size is None else size], log_det)
