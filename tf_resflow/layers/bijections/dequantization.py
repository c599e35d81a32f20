"""Learned dequantisation: a map of the noise inside of cells."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection as bijection_lib
from tf_resflow.layers.bijections import composite
from tf_resflow.layers.bijections.bijection import PassResult
from tf_resflow.layers.bijections.bijection import PassSettings
from tf_resflow.numerics import differentiation

# In units of the last place of 1: noise keeps away from the ends of a cell, so
# that rounding does not take `k + u` to the next one.
_MARGIN = 2**9


@base_layer.configured
class VariationalDequantization(composite.CompositeBijection):
  """A learned map of the noise in the cells of integers, `k + u -> k + v`.

    x = (k + u) / n,   v = sigmoid(f(logit(u), h(k))),   y = (k + v) / n

  with a bijection `f` that depends on all integers by a network `h`. If `u` is
  uniform on [0, 1), as `datasets.dequantize` draws it, then `v` has the density
  `q(v|k) = du/dv`, and for a density `p` of `y`

    log p(x) - D log n = log p(y) - D log n + log|det dy/dx|
                       = log p(y) - D log n - log q(v|k),

  whose mean over `u` is the bound of variational dequantisation. So data and
  their noise stay as they are, and what evaluates, samples, inverts or serves a
  flow does the same with this as its first bijection. It is the identity if `f`
  is, and discontinuous between cells. Beside integers of the last axis, those
  in `columns`, `h` is given the others as they are.

  Args:
    noise: `f`, on events of the shape of `x` with `columns` alone, which takes
      outputs of `h` as its condition.
    condition_network: `h`, a Keras layer of what `scale` makes of `x`, whose
      integers stand in the middles of their cells.
    columns: indices of the last axis whose numbers are cells.
    num_levels: `n`, the number of cells in [0, 1); 1 for cells of integers.
    scale: a bijection to numbers of a size of about 1; by default the identity.

  Example:
    >>> noise = layers.SequentialBijection([layers.ConditionalAffine(4)])
    >>> learned = layers.VariationalDequantization(
    ...     noise, keras.layers.Dense(4), columns=[0, 1], num_levels=17)
    >>> y, log_det = learned.forward_and_log_det(tf.fill([5, 2], 0.2))
    >>> np.allclose(y, 0.2), log_det.shape  # At first the identity.
    (True, TensorShape([5]))

  References:
    Ho et al., 2019, Flow++, Section 3.1; Hoogeboom, Cohen, Tomczak, 2021,
    Learning Discrete Distributions by Dequantization, Section 2.
  """

  condition_spec = None  # That of `noise` is its own.

  def __init__(
      self, noise: bijection_lib.Bijection,
      condition_network: keras.layers.Layer, columns: Sequence[int],
      num_levels: int = 1, scale: bijection_lib.Bijection | None = None,
      **kwargs):
    kwargs.setdefault('dtype', noise.compute_dtype)
    super().__init__(**kwargs)
    errors.check(
        len({*columns}) == len(columns) > 0, 'columns', list(columns),
        'different indices of the last axis, at least one')
    errors.check(num_levels >= 1, 'num_levels', num_levels, 'a number >= 1')
    self.noise = noise
    self.condition_network = condition_network
    self.columns = tuple(columns)
    self.num_levels = num_levels
    self.scale = scale

  @property
  def parts(self) -> list[bijection_lib.Bijection]:
    return [self.noise]

  def with_parts(self, parts: Sequence[bijection_lib.Bijection]
                 ) -> bijection_lib.Bijection:
    return VariationalDequantization(
        parts[0], base_layer.frozen_copy(self.condition_network), self.columns,
        self.num_levels, self.scale and self.scale.frozen(), name=self.name,
        dtype=self.dtype_policy)

  def build(self, input_shape: tuple) -> None:
    size = input_shape[-1]
    errors.check(
        max(self.columns) < size, 'columns', max(self.columns),
        f'indices below {size}')
    self._others = np.array(
        [i for i in range(size) if i not in self.columns], np.int32)
    if self.scale is not None:
      base_layer.build_once(self.scale, input_shape)
    base_layer.build_once(self.condition_network, input_shape)
    base_layer.build_once(self.noise, (*input_shape[:-1], len(self.columns)))

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    return self._mapped(x, settings, self.noise.forward_pass)

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    return self._mapped(y, settings, self.noise.inverse_pass)

  def _mapped(self, x, settings, pass_fn):
    """Returns the result of a pass of the noise in all cells."""
    margin = _MARGIN * float(np.finfo(self.compute_dtype).eps)
    scaled = self.num_levels * tf.gather(x, self.columns, axis=-1)
    cell = tf.floor(scaled)
    u = tf.clip_by_value(
        tf.cast(scaled - cell, self.compute_dtype), margin, 1.0 - margin)
    middles = self._joined(x, (cell + 0.5) / self.num_levels)
    condition = self.condition_network(
        middles if self.scale is None else self.scale.call(middles))
    log_odds = tf.math.log(u) - tf.math.log1p(-u)
    result = pass_fn(log_odds, settings._replace(condition=condition))
    v = tf.clip_by_value(tf.sigmoid(result.value), margin, 1.0 - margin)
    # Of large integers floats have no room for the margin.
    y = tf.minimum(cell + tf.cast(v, x.dtype), tf.math.nextafter(
        cell + 1.0, cell))
    return result._replace(
        value=self._joined(x, y / self.num_levels),
        log_det=result.log_det + _log_slope(result.value) - _log_slope(
            log_odds))

  def _joined(self, x, cells):
    """Returns `x` with others numbers in its columns."""
    order = np.argsort([*self.columns, *self._others])
    return tf.gather(tf.concat(
        [cells, tf.gather(x, self._others, axis=-1)], axis=-1), order, axis=-1)

  def bi_lipschitz_bounds(self) -> bijection_lib.BiLipschitzBounds:
    return self.slopes  # It has jumps.


def _log_slope(z):
  """Returns `sum log sigmoid'(z)`, `[B]`."""
  return differentiation.sum_per_example(
      tf.math.log_sigmoid(z) + tf.math.log_sigmoid(-z))
