"""Fully connected flow on vectors."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.columns import column_types
from tf_resflow.columns import rows as rows_lib
from tf_resflow.columns import schema as schema_lib
from tf_resflow.models import blocks
from tf_resflow.models import conditions
from tf_resflow.models import flow
from tf_resflow.models import latent_model
from tf_resflow.models import vector_flow_config
from tf_resflow.numerics import random
from tf_resflow.specs import registries


@keras.saving.register_keras_serializable('tf_resflow')
class VectorFlow(flow.Flow):
  """Flow on vectors `[D]`: fully connected blocks with ActNorm between them.

  Its first bijections map columns to real numbers, standardise and whiten them,
  if the schema of the configuration says so; densities are those of vectors in
  their original units, and probabilities divided by the step in columns that
  are grids, as of whole numbers, which are dequantised.

  Args:
    config: a `VectorFlowConfig`, or its fields as a dict.
    name: see `ResidualFlow`, as the others.

  Example:
    >>> model = models.VectorFlow(
    ...     models.VectorFlowConfig(event_size=2, num_blocks=4))
    >>> model.log_prob(tf.zeros([5, 2]), seed=0).shape
    TensorShape([5])

  References:
    Chen et al., 2019, Residual Flows, Section 3.
  """

  _takes_config = True

  def __init__(
      self, config: vector_flow_config.VectorFlowConfig | dict,
      name: str = 'vector_flow', **kwargs):
    config = vector_flow_config.VectorFlowConfig.of(config)
    dtype = keras.dtype_policies.get(
        kwargs.get('dtype', keras.config.floatx())).name

    def make_act_norms(name):
      return [layers.ActNorm(name=f'act_norm_{name}', dtype=dtype)
              ] if config.act_norm else []

    base = registries.BASES.get(config.first_base)(
        name='base_distribution', dtype=dtype)
    schema = config.schema or schema_lib.Schema()
    mean, std = schema.moments(schema_lib.MODELLED)
    first = []
    if schema.types:
      first.append(layers.ColumnMaps(
          schema.types, name='column_maps', dtype=dtype))
    if mean:
      first.append(layers.Standardize(
          mean, std, schema.whitening, schema.dtype, name='standardize',
          dtype=dtype))
    steps = {i: t.step for i, t in enumerate(map(
        column_types.ColumnType.get, schema.types)) if t.is_integer}
    noise = config.dequantization_type.make(
        config, (config.event_size,), [*steps], dtype, first)
    # Above, evaluation would average logarithms over uniform noise.
    settings: dict[str, Any] = {'noise': noise} if noise else {}
    if noise and config.event_size > latent_model.MAX_EXACT_SIZE:
      settings['num_points'] = 0
    super().__init__(
        conditions.make_flow(
            first + make_act_norms('first') + blocks.make_blocks((
                blocks.BlockRequest(
                    config, (config.event_size,), index, config.hidden_units,
                    None, activate_input=index > 0, dtype=dtype,
                    index_in_scale=index, is_identity=base.is_data_dependent)
                for index in range(config.num_blocks)), make_act_norms),
            config, dtype),
        (config.event_size,), augmentation=layers.UniformDequantization(
            [*steps], steps=[*steps.values()], name='dequantization',
            dtype=dtype, **settings) if steps else None,
        base=base, name=name, **kwargs)
    self.config = config

  def _fit_base(self, x, condition, seed):
    if self.config.enters_at('base'):
      conditional: Any = self.bijection
      *_, affine = conditional.leaves()
      affine.fit_shift(
          self.encode(x, condition, seed=seed), conditional.condition_network(
              conditional.condition_spec.convert(
                  condition, self.compute_dtype)))
    super()._fit_base(x, condition, seed)

  def cdf(self, y: Any, condition: Any = None) -> np.ndarray:
    """Returns `P(Y <= y)`, given the condition, of one column, exactly.

    A bijection of one dimension is monotone. So it is `P(Z <= z)` of the latent
    `z` of `y`, or `P(Z >= z)` if the bijection decreases; in a column that is a
    grid, of the upper edge of the cell of `y`.

    Args:
      y: `[N]` or `[N, 1]`, a frame with the column, or a number.
      condition: see `Flow`; one, or one for each.

    Returns:
      Float64 `[N]`; NaN where `y` or its condition is.

    Raises:
      InvalidValueError: if the flow has several columns.

    Example:
      >>> flow = models.VectorFlowConfig(event_size=1, num_blocks=1).build()
      >>> flow.initialize(tf.random.stateless_normal([50, 1], [0, 0]))
      >>> bool(np.allclose(flow.cdf(flow.quantile([0.1, 0.9])), [0.1, 0.9]))
      True
    """
    x, condition, ends = self._of_one_column('cdf', *rows_lib.arrays(
        self.schema, y, condition))
    column = column_types.ColumnType.get(
        self.schema.types[0]) if self.schema.types else column_types.Real()
    x = tf.cast(x, self.input_dtype)
    if column.is_integer:
      x = self.augmentation.cells(x) + 1.0
    low, high = column.limits(x.dtype)
    z = self.bijection.call(
        tf.where(column.supports(x), x, ends[0]), condition)
    p = self.base.cdf(np.float64(z)[:, 0])
    p = 1.0 - p if ends[0] > ends[1] else p
    x = x.numpy()[:, 0]
    return np.select(
        [x < low, x > high, np.isnan(x)], [0.0, 1.0, np.nan], p)

  def quantile(self, p: Any, condition: Any = None) -> np.ndarray:
    """Returns the least `y` with `cdf(y, condition) >= p`, up to rounding.

    Args:
      p: a number, or an array of any shape, strictly between 0 and 1.
      condition: see `Flow`; one, or `[N, ...]`, a frame, for several rows.

    Returns:
      In the units of the column, an array of the shape of `p`, or
      `[N, *p.shape]` for several rows; NaN for those with an empty cell.

    Raises:
      InvalidValueError: likewise, and if a number is outside of (0, 1).
    """
    p = np.asarray(p, np.float64)
    errors.check(np.all((p > 0.0) & (p < 1.0)), 'p', p,
                 'numbers strictly between 0 and 1')
    condition = rows_lib.condition_array(self.schema, condition)
    spec = self.condition_spec
    if spec is None or np.ndim(condition) <= len(spec.shape) or (
        len(condition) == 1):
      return self._quantile(p.ravel(), condition).reshape(p.shape)
    condition = np.asarray(condition)
    found = np.full([len(condition), p.size], np.nan)
    known = ~np.isnan(np.float64(condition)).reshape(
        [len(condition), -1]).any(axis=1)
    if known.any():
      found[known] = self._quantile(
          np.tile(p.ravel(), known.sum()),
          np.repeat(condition[known], p.size, axis=0)).reshape([-1, p.size])
    return found.reshape([len(condition), *p.shape])

  def _quantile(self, p, condition):
    """Returns quantiles `[K]` of `p`, `[K]`, given one condition or `K`."""
    from scipy.optimize import elementwise

    p, condition, ends = self._of_one_column('quantile', p, condition)
    p = 1.0 - p if ends[0] > ends[1] else p
    brackets = elementwise.bracket_root(
        lambda z, p: self.base.cdf(z) - p, -1.0, args=(p[:, 0],)).bracket
    z = elementwise.find_root(
        lambda z, p: self.base.cdf(z) - p, brackets, args=(p[:, 0],)).x
    return self.inverse(z[:, np.newaxis], condition).numpy()[:, 0]

  def _of_one_column(self, name, values, condition):
    """Returns values `[N, 1]`, the condition, and events at latents -1 and 1.
    """
    errors.check(
        self.event_size == 1, name, problem='requires a flow of one column',
        advice='Train it with the others in condition_on.')
    self.check_condition(condition)
    values, spec, one = np.reshape(values, [-1, 1]), self.condition_spec, None
    if spec is not None:
      condition = spec.convert(condition, self.compute_dtype)
      values = np.broadcast_to(
          values, [max(len(values), len(condition)), 1])
      one = condition[:1]
    return values, condition, self.bijection.inverse(tf.constant(
        [[-1.0], [1.0]], self.compute_dtype), one).numpy()[:, 0]

  def perturb(
      self, x: tf.Tensor, std: tf.Tensor, *, seed: random.SeedLike
  ) -> tf.Tensor:
    """Returns data with Gaussian noise, added to standardised vectors.

    A flow that is trained on `f^-1(f(x) + std e)`, where `f` maps and
    standardises columns, learns the density smoothed by noise of that size.
    Multiples of a step stay such, and all values inside of the support of their
    columns. Rows with a value outside of it are returned as they are.

    References:
      Rothfuss et al., 2019, Noise Regularization for Conditional Density
      Estimation.
    """
    events = self.augment(x, seed=seed).y
    y = self._mapped(events)
    y += tf.cast(std, y.dtype) * self._scale(y) * random.normal(
        tf.shape(y), random.fold_in(seed, 2), y.dtype)
    for bijection in self._maps():
      y = tf.where(
          tf.reduce_all(bijection.supports(events), axis=-1, keepdims=True),
          bijection.inverse(y), events)
    return self.augmentation.project(y)

  def standardize(self, x: tf.Tensor) -> tf.Tensor:
    """Returns mapped columns in their standard deviations, `[B, D]`.

    Multiples of a step stand for the middle of their cells; values that a
    column cannot take become NaN.
    """
    middle = [0.5 * column_types.ColumnType.get(name).is_integer
              for name in self.schema.types]
    if any(middle):
      x = self.augmentation.cells(x) + tf.constant(middle, x.dtype)
    y = self._mapped(x)
    for bijection in self._maps():
      y = tf.where(bijection.supports(x), y, tf.constant(math.nan, y.dtype))
    return y / self._scale(y)

  def _maps(self):
    return self.bijection.leaves()[:1] if self.schema.types else []

  def _mapped(self, x):
    for bijection in self._maps():
      x = bijection.call(x)  # In its own dtype.
    return x

  def _scale(self, y):
    _, std = self.schema.moments(schema_lib.MODELLED)
    return tf.constant(std or 1.0, y.dtype)
