"""The invertible residual block as a Keras layer."""

import dataclasses
import functools

import keras

from tf_resflow import numerics
from tf_resflow.layers import invertible
from tf_resflow.layers import lipschitz
from tf_resflow.layers import pure
from tf_resflow.numerics import fixed_point

_VALUES = {
    cls.__name__: cls for cls in (
        numerics.RussianRoulette, numerics.AdaptiveRoulette,
        numerics.FixedTruncation, numerics.Exact,
        numerics.Geometric, numerics.Poisson, numerics.Banach,
        numerics.Anderson)
}


def _serialize_value(value):
  """Turns an estimator or a solver into plain containers."""
  if not dataclasses.is_dataclass(value):
    return value
  fields = {
      f.name: _serialize_value(getattr(value, f.name))
      for f in dataclasses.fields(value)
  }
  return {'value': type(value).__name__, 'fields': fields}


def _deserialize_value(config):
  if not (isinstance(config, dict) and 'value' in config):
    return config
  fields = {k: _deserialize_value(v) for k, v in config['fields'].items()}
  return _VALUES[config['value']](**fields)


def _structure(g):
  """What must agree for two layers to compute the same function of weights."""
  return [
      (type(layer).__name__, layer.dtype_policy.name,
       [tuple(v.shape) for v in layer.variables],
       {k: v for k, v in layer.get_config().items()
        if k not in ('name', 'seed', 'layers')})
      for layer in g._flatten_layers()  # pylint: disable=protected-access
  ]


def _dtype(g):
  """Returns the dtype that the layers of `g` compute in.

  The dtype of a `keras.Sequential` itself does not matter, see `pure.call`.
  """
  dtypes = {
      layer.compute_dtype
      for layer in g._flatten_layers()  # pylint: disable=protected-access
      if not isinstance(layer, (keras.Model, keras.layers.InputLayer))}
  if isinstance(g, keras.Model) and not isinstance(g, keras.Sequential):
    # A functional model casts to the dtype of its inputs.
    dtypes.update(t.dtype for t in getattr(g, 'inputs', None) or [])
  if len(dtypes) > 1:
    raise ValueError(
        f'g ({g.name!r}) has layers of {" and ".join(sorted(dtypes))}; give '
        'all of them the same dtype=.')
  return dtypes.pop() if dtypes else g.compute_dtype


@keras.saving.register_keras_serializable('tf_resflow')
class ResidualBlock(invertible.InvertibleLayer):
  """`f(x) = x + g(x)` with `Lip(g) < 1`, hence invertible.

  Args:
    g: a Keras layer or model that maps `[B, ...]` to the same shape, acts
      example by example and deterministically.
    log_det: estimator of the log-determinant: `RussianRoulette(...)`
      (unbiased), `FixedTruncation(n)` or `Exact()`.
    solver: of the inverse, `Anderson(...)` or `Banach(...)`.
    memory: how gradients of the log-determinant are computed, one of
      `numerics.MEMORY_MODES`.
    lipschitz_bound: asserts `Lip(g) <= lipschitz_bound` for a `g` whose bound
      is not known from its layers.
    **kwargs: of `keras.layers.Layer`; `dtype` is that of the layers of `g`.

  Raises:
    ValueError: if the bound of `g` is neither known nor asserted, is not
      below one, or if `g` contains a layer that is not a function of one
      example, such as batch normalisation.

  Example:
    >>> g = keras.Sequential([
    ...     layers.SpectralDense(32), layers.LipSwish(),
    ...     layers.SpectralDense(2)])
    >>> block = layers.ResidualBlock(g)
    >>> y, log_det = block.forward_and_log_det(tf.ones([5, 2]))
    >>> np.allclose(block.inverse(y), 1.0, atol=1e-4)
    True

  References:
    Behrmann et al., 2019, Invertible Residual Networks, Theorem 1; Chen et
    al., 2019, Residual Flows, Theorems 1 and 2.
  """

  def __init__(
      self, g, log_det=None, solver=None, memory='recompute',
      lipschitz_bound=None, **kwargs):
    kwargs.setdefault('dtype', _dtype(g))
    super().__init__(**kwargs)
    lipschitz.check_is_function(g)
    if memory not in numerics.MEMORY_MODES:
      raise ValueError(
          f'memory is {memory!r}; expected one of {numerics.MEMORY_MODES}.')
    known = lipschitz.known_bound(g)
    if known is None and lipschitz_bound is None:
      raise ValueError(
          f'The Lipschitz bound of g ({g.name!r}) is not known from its '
          'layers. Build g from the layers of tf_resflow.layers in a '
          'keras.Sequential, or assert a bound with lipschitz_bound=.')
    self.g = g
    self.log_det = numerics.RussianRoulette() if log_det is None else log_det
    self.solver = numerics.Anderson() if solver is None else solver
    self.memory = memory
    self._traces = numerics.BlockTraces(*(
        functools.partial(function, g)
        for function in (
            pure.apply, pure.settle, pure.prepare, pure.max_examples)))
    self.asserted_bound = lipschitz_bound
    if not 0.0 <= self.lipschitz_bound < 1.0:
      raise ValueError(
          f'The Lipschitz bound of g ({g.name!r}) is {self.lipschitz_bound}; '
          'it must be below 1 for the block to be invertible.')

  @property
  def lipschitz_bound(self):
    """The asserted bound of `g`, else the product of its layers' bounds."""
    if self.asserted_bound is not None:
      return self.asserted_bound
    return lipschitz.known_bound(self.g)

  def build(self, input_shape):
    if not self.g.built:
      self.g.build(input_shape)
    # Works for layers that define nothing but `call`, too.
    output_shape = self.g.compute_output_spec(
        keras.KerasTensor(input_shape, dtype=self.compute_dtype)).shape
    if tuple(output_shape[1:]) != tuple(input_shape[1:]):
      raise ValueError(
          f'g ({self.g.name!r}) maps events of shape {tuple(input_shape[1:])} '
          f'to {tuple(output_shape[1:])}; a residual block needs equal shapes.')

  # Not `_maybe_build`: Keras calls that itself, with another argument.
  def _build_for(self, x):
    if not self.built:
      self.build(tuple(x.shape))

  def can_share(self, other):
    """Whether the `g` of two blocks have the same layers and shapes."""
    return _structure(self.g) == _structure(other.g)

  def share_traces(self, other):
    """Uses the traced functions of a block whose `g` has the same structure.

    Saves tracing time in deep flows; the weights stay apart.

    Args:
      other: a `ResidualBlock` with the same layers, shapes and dtype.

    Returns:
      This block.
    """
    if not self.can_share(other):
      raise ValueError(
          f'{self.name} cannot share traces with {other.name}: their g differ '
          'in layers or shapes.')
    self._traces = other._traces
    return self

  def forward_and_log_det(self, x, seed=None, log_det=None, draw=None):
    """Returns `x + g(x)` and the estimate of its log-determinant.

    Args:
      x: `[B, ...]`.
      seed: None (afresh at every execution), a Python int or int32 `[2]`.
      log_det: an estimator to use in place of the block's own.
      draw: a forced `numerics.Draw`.

    Returns:
      `y`: `[B, ...]`; `log_det`: `[B]`, nats.
    """
    self._build_for(x)
    estimator = self.log_det if log_det is None else log_det
    if draw is None:
      draw = estimator.draw(x, seed)
    variables, constants = pure.tensors(self.g)
    return numerics.forward_and_log_det(
        self._traces.g_fn, variables, x, estimator, draw, memory=self.memory,
        traces=self._traces, constants=constants)

  def call(self, inputs):
    self._build_for(inputs)
    return inputs + pure.call(self.g, inputs)

  def solve_inverse(self, y, solver=None):
    """Solves `x + g(x) = y`; reports what happened.

    Args:
      y: `[B, ...]`.
      solver: a solver to use in place of the block's own.

    Returns:
      A `numerics.Solution`: `x` (differentiable by the implicit function
      theorem), `num_steps`, `converged` and `residual`, each `[B]`.
    """
    self._build_for(y)
    variables, constants = pure.tensors(self.g)
    return numerics.invert_residual(
        self._traces.g_fn, variables, y,
        self.solver if solver is None else solver,
        lipschitz_bound=self.lipschitz_bound, traces=self._traces,
        constants=constants)

  def inverse(self, y):
    """Returns `x` with `x + g(x) = y`.

    Raises:
      tf.errors.InvalidArgumentError: when an example does not converge.
    """
    return fixed_point.check_converged(
        self.solve_inverse(y), self.name, self.solver).x

  def get_config(self):
    return super().get_config() | {
        'g': keras.saving.serialize_keras_object(self.g),
        'log_det': _serialize_value(self.log_det),
        'solver': _serialize_value(self.solver),
        'memory': self.memory,
        'lipschitz_bound': self.asserted_bound,
    }

  @classmethod
  def from_config(cls, config):
    config = dict(config)
    config['g'] = keras.saving.deserialize_keras_object(config['g'])
    config['log_det'] = _deserialize_value(config['log_det'])
    config['solver'] = _deserialize_value(config['solver'])
    return cls(**config)
