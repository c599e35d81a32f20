"""The invertible residual block."""

import math

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections.bijection import PassResult
from tf_resflow.layers.bijections.bijection import PassSettings
from tf_resflow.layers.conditions import conditioning
from tf_resflow.layers.lipschitz import frozen_layer
from tf_resflow.layers.lipschitz import keras_layer
from tf_resflow.layers.lipschitz import learned_norms
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics import residual_function
from tf_resflow.specs import registries

# Larger chunks were not faster on two cores. Chunks that are computed in
# parallel share the first, but none takes less than the second.
_CHUNK_BYTES = 4 * 2**20
_MIN_CHUNK_BYTES = 2**19
# The first batch of a model runs eagerly. Every chunk of it converges the
# norms, so chunks are larger.
_EAGER_CHUNK_BYTES = 8 * _CHUNK_BYTES


@base_layer.configured
class ResidualBlock(bijection.Bijection):
  """`f(x) = x + g(x)` with `Lip(g) < 1`, hence invertible.

  Args:
    g: a Lipschitz layer, or a Keras layer or model that maps `[B, ...]` to the
      same shape, example by example and deterministically. With a
      `ConditionShift` or `ConditionGate` in it the block takes a condition
      `[B, K]`, and is invertible for every one.
    estimator: of the log-determinant: a `numerics.Estimator` or its spec, such
      as 'exact'; `RussianRoulette()`, which is unbiased, by default.
    solver: of the inverse, a `numerics.Solver` or its spec; `Anderson()` by
      default.
    memory: how gradients of the log-determinant are computed, one of
      `registries.MEMORY_MODES`.
    lipschitz_bound: asserts `Lip(g) <= lipschitz_bound` in l_2 for a `g` whose
      bound is not known from its layers.
    uncertified: accepts a `g` whose norms do not make it a contraction, such as
      1 to 2 to inf. Then its slopes are unknown, and whether the block is
      invertible; solves report whether they converged.

  Raises:
    InvalidValueError: if the bound of `g` is neither known nor asserted, is
      not below one, or if `g` contains a layer that is not a function of one
      example, such as batch normalisation.

  Example:
    >>> g = keras.Sequential([
    ...     layers.SpectralDense(32), layers.LipSwish(),
    ...     layers.SpectralDense(2)])
    >>> block = layers.ResidualBlock(g)
    >>> y, log_det = block.forward_and_log_det(tf.ones([5, 2]))
    >>> np.allclose(block.inverse(y), 1.0, atol=1e-4)
    True
    >>> density = tfd.TransformedDistribution(
    ...     tfd.MultivariateNormalDiag(tf.zeros(2)),
    ...     tfb.Invert(bijectors.ResidualBlock(g, event_shape=[2])))
    >>> log_prob = density.log_prob(
    ...     tf.ones([5, 2]), bijector_kwargs=dict(seed=1))
    >>> density.sample(5).shape
    TensorShape([5, 2])

  References:
    Behrmann et al., 2019, Invertible Residual Networks, Theorem 1; Chen et
    al., 2019, Residual Flows, Theorems 1 and 2.
  """

  is_random = True
  num_solves = 0, 1
  has_certificate = True
  # The log-determinant in powers of the Jacobian of `g`.
  series: numerics.LogDetSeries = numerics.RESIDUAL_SERIES

  def __init__(self, g: keras.layers.Layer,
               estimator: numerics.Estimator | str | None = None,
               solver: numerics.Solver | str | None = None,
               memory: str = 'recompute', lipschitz_bound: float | None = None,
               uncertified: bool = False, **kwargs):
    g = keras_layer.as_lipschitz_layer(g, lipschitz_bound)
    kwargs.setdefault('dtype', g.compute_dtype)
    super().__init__(**kwargs)
    registries.MEMORY_MODES.check(memory)
    self.lipschitz_bound = g.lipschitz_bound
    errors.check(
        self.lipschitz_bound is not None, 'lipschitz_bound',
        problem=f'of g ({g.name!r}) is unknown', advice='Build g from layers '
        'of tf_resflow.layers in a keras.Sequential, or assert a bound with '
        'lipschitz_bound=.')
    errors.check(0.0 <= self.lipschitz_bound < 1.0, 'lipschitz_bound',
                 self.lipschitz_bound, 'a number in [0, 1)',
                 f'The block of g ({g.name!r}) is not invertible otherwise.')
    orders = (g.domain or 2.0, g.codomain or g.domain or 2.0)
    is_proven = orders[1] is orders[0] or orders[1] <= orders[0]
    errors.check(
        is_proven or uncertified, 'codomain', orders[1],
        f'at most {orders[0]}, the order of the domain of g ({g.name!r})',
        'Otherwise it is not a contraction in any one norm; pass '
        'uncertified=True to use it nevertheless.')
    self.g = g
    self.condition_spec = conditioning.common_spec(g.conditional_layers())
    self.uncertified = uncertified
    self.order = orders[0] if is_proven else math.nan
    self.bound_source = g.bound_source if is_proven else 'nothing'
    self.estimator = numerics.Estimator.get(
        numerics.RussianRoulette() if estimator is None else estimator)
    self.solver = numerics.Solver.get(
        numerics.Anderson() if solver is None else solver)
    self.memory = memory
    self.function = g.as_function(self._max_examples_at_a_time)

  def _max_examples_at_a_time(self):
    """Returns the chunk size: parallel chunks of a hidden layer fill 4 MiB.

    A backward pass needs some twenty such tensors. On GPUs, which need large
    batches, None.
    """
    return self._num_examples_in(
        max(_CHUNK_BYTES // numerics.parallel.num_parallel(), _MIN_CHUNK_BYTES))

  def _num_examples_in(self, num_bytes):
    size = self._max_activation_size * tf.as_dtype(self.compute_dtype).size
    return max(1, num_bytes // size) if size and self.g.is_on_cpu else None

  def build(self, input_shape: tuple) -> None:
    base_layer.build_once(self.g, input_shape)
    shape = self.g.compute_output_shape(input_shape)
    errors.check(
        tuple(shape[1:]) == tuple(input_shape[1:]), 'g', self.g.name,
        f'outputs of shape {tuple(input_shape[1:])} for inputs of this shape, '
        f'not {tuple(shape[1:])}')
    self._max_activation_size = self.g.max_activation_size(input_shape)

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    estimator = self._estimator(settings)
    if estimator.is_skipped:
      return PassResult(
          x + self._evaluate_g(x, settings),
          bijection.common_log_det(x, tf.constant(math.nan, x.dtype)))
    variables, state = self.g.tensors()
    value, log_det = estimator.evaluate(
        self.function, variables, state, x, estimator.draw(x, settings.seed),
        memory=self.memory, series=self.series,
        context=self._context(settings.condition, x))
    return PassResult(x + value, log_det)

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    solve, log_det = self.solve(y, settings)
    return PassResult(solve.solution.x, -log_det, (solve,))

  def _estimator(self, settings):
    return (settings.estimator or self.estimator).for_bound(
        self.series.rate(self.lipschitz_bound))

  def solve(self, target: tf.Tensor, settings: PassSettings,
            sign: int = 1) -> tuple[bijection.Solve, tf.Tensor]:
    """Solves `x + g(x) = target`.

    Args:
      target: `[B, ...]`.
      settings: of the pass.
      sign: -1 for `x - g(x) = target`.

    Returns:
      The solution, and the log-determinant of `series` there, `[B]`.
    """
    variables, state = self.g.tensors()
    solver = settings.solver or self.solver
    solution, log_det = numerics.invert_residual(
        self.function, variables, target, solver, self._estimator(settings),
        state=state, sign=sign, seed=settings.seed, memory=self.memory,
        series=self.series, context=self._context(settings.condition, target),
        # The safeguard of acceleration works in l_2.
        lipschitz_bound=self.lipschitz_bound if self.order == 2.0 else None)
    plain = settings._replace(is_plain=True)
    return bijection.Solve(
        self, lambda x: x + sign * self._evaluate_g(x, plain), target, solution,
        solver), log_det

  def _context(self, condition, x):
    """Returns the context of `g`, with the batch size of `x`."""
    return [base_layer.as_batch(t, x) for t in self.g.context(condition)]

  def _evaluate_g(self, x, settings):
    """Returns `g(x)`."""
    if self.g.is_frozen or not settings.is_plain:
      variables, state = self.g.tensors()
      return self.function.traced(residual_function.evaluate)(
          variables, state, x, *self._context(settings.condition, x))
    # The first batch of a model, which runs eagerly, needs no graph.
    size = self._num_examples_in(_EAGER_CHUNK_BYTES)
    condition = settings.condition
    if not tf.executing_eagerly() or size is None:
      return base_layer.call_with(self.g, x, condition)
    if self.condition_spec is not None:
      condition = base_layer.as_batch(
          self.condition_spec.convert(condition, self.compute_dtype), x)
    return tf.concat([
        base_layer.call_with(
            self.g, x[i:i + size],
            condition[i:i + size] if self.takes_condition else None)
        for i in range(0, max(x.shape[0], 1), size)], axis=0)

  def estimators(self) -> list[numerics.Estimator]:
    return [self.estimator]

  def bi_lipschitz_bounds(self) -> bijection.BiLipschitzBounds:
    if self.bound_source == 'nothing':
      return bijection.BiLipschitzBounds(
          0.0, math.inf, self.order, self.bound_source)
    return bijection.BiLipschitzBounds(
        1.0 - self.lipschitz_bound, 1.0 + self.lipschitz_bound,
        learned_norms.present_order(self.order), self.bound_source)

  def certificate(self, target: float = 0.9999) -> numerics.Certificate:
    """Returns a guaranteed upper bound of `Lip(g)` for the present weights.

    In the norm of `order`; without a bound if the block is uncertified.
    """
    if self.bound_source == 'nothing':
      return numerics.Certificate(None, ('uncertified',))
    return self.g.certificate(target)._replace(
        order=learned_norms.present_order(self.order))

  def norm_estimate(self) -> float:
    """Returns the product of the norms of the layers of `g`, estimated."""
    return self.g.norm_estimate()

  def constrained_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return self.g.constrained_layers()

  def frozen(self) -> bijection.Bijection:
    if self.g.is_frozen:
      return self  # Nothing changes its weights.
    shape = self.get_build_config()['input_shape']
    copy = type(self)(
        frozen_layer.FrozenLayer(self.g, self.function, shape), self.estimator,
        self.solver, uncertified=self.uncertified, name=self.name,
        dtype=self.dtype_policy)
    copy.build(shape)
    return copy

  def share_traces(self, functions: dict) -> None:
    self.function = functions.setdefault(
        (self.dtype_policy.name, self.g.structure()), self.function)

  def get_config(self) -> dict:
    return super().get_config() | {
        'g': keras.saving.serialize_keras_object(self.g),
        'estimator': self.estimator.spec(),
        'solver': self.solver.spec(),
        'memory': self.memory,
        'uncertified': self.uncertified}
