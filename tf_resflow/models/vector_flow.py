"""Fully connected flow on vectors."""

import math
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import layers
from tf_resflow.columns import column_types
from tf_resflow.columns import schema as schema_lib
from tf_resflow.models import blocks
from tf_resflow.models import conditions
from tf_resflow.models import flow
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

  get_config = flow.Flow.config_of_fields

  def __init__(
      self, config: vector_flow_config.VectorFlowConfig | dict,
      name: str = 'vector_flow', **kwargs):
    config = vector_flow_config.VectorFlowConfig.of(config)
    dtype = keras.dtype_policies.get(
        kwargs.get('dtype', keras.config.floatx())).name

    def make_act_norms(name):
      return [layers.ActNorm(name=f'act_norm_{name}', dtype=dtype)
              ] if config.act_norm else []

    base = registries.BASES.get(config.base)(
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
            dtype=dtype) if steps else None,
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
