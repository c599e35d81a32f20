"""The multi-scale image flow of the paper."""

import itertools
import math

import keras

from tf_resflow import layers
from tf_resflow.models import blocks
from tf_resflow.models import conditions
from tf_resflow.models import flow
from tf_resflow.models import residual_flow_config
from tf_resflow.specs import registries


@keras.saving.register_keras_serializable('tf_resflow')
class ResidualFlow(flow.Flow):
  """Multi-scale flow on images `[H, W, C]` in [0, 1).

  Preprocessing comes first. Each scale has blocks, each followed by ActNorm
  (the first scale also starts with one) and preceded by an invertible linear
  map if configured, then a 2 x 2 squeeze except after the last scale. With
  `factor_out` the second half of the channels is factored out after every
  squeeze. After the last scale come fully connected blocks on the flattened
  features. The first block of the flow has no leading activation.

  The latents `[D]` are the factored-out parts, in order, then the rest, each
  flattened from `[h, w, c]` (`latent_shapes`); `inverse` takes all of them.

  With `noise_channels` the events have additional channels of noise, which
  samples omit, and log-densities are lower bounds; see `flow.Flow`.

  With `num_classes` the flow is a hybrid model: a `layers.HybridClassifier`
  reads the output of each scale (with `factor_out` the factored-out part; for
  the last scale, which has none, that of the scale before it again).

  Args:
    config: a `ResidualFlowConfig`, or its fields as a dict.
    name: name of the model.
    **kwargs: passed to `keras.Model`; `dtype` is 'float32' or 'float64'.

  Example:
    >>> model = models.ResidualFlow(models.ResidualFlowConfig(
    ...     image_shape=(8, 8, 1), num_levels=17, num_blocks=(1, 1),
    ...     hidden_channels=8, num_dense_blocks=0))
    >>> x = model.sample(4, seed=0)
    >>> model.bits_per_dim(x, seed=1).shape
    TensorShape([4])

  References:
    Chen et al., 2019, Residual Flows, Sections 5.1 and 5.4 and Appendix E.
  """

  _takes_config = True

  def __init__(
      self, config: residual_flow_config.ResidualFlowConfig | dict,
      name: str = 'residual_flow', **kwargs):
    config = residual_flow_config.ResidualFlowConfig.of(config)
    builder = _Builder(config, kwargs.get('dtype', keras.config.floatx()))
    super().__init__(
        builder.make_bijection(), config.image_shape, config.num_levels,
        builder.make_classifier(), builder.augmentation, name=name, **kwargs)
    self.config = config
    # Shapes [h, w, c] of the parts of the latents, in order.
    self.latent_shapes = tuple(builder.latent_shapes)


class _Builder:
  """Builds the parts of a `ResidualFlow` in the order of the forward pass."""

  def __init__(self, config, dtype):
    self.config = config
    self.dtype = keras.dtype_policies.get(dtype).name
    self.augmentation = registries.AUGMENTATIONS.get(config.augmentation)(
        config, self.dtype)
    self.indices = itertools.count()
    self.latent_shapes = []
    self.feature_shapes = []

  def make_bijection(self) -> layers.Bijection:
    """Returns the bijection of the flow."""
    config, shape = self.config, self.config.image_shape
    num_channels = shape[-1]
    if self.augmentation is not None:
      shape = self.augmentation.compute_output_shape((None, *shape))[1:]
    dequantization = config.dequantization_type.make(
        config, shape, range(num_channels), self.dtype, [layers.Standardize(
            [0.5] * shape[-1], [0.5] * shape[-1], dtype=self.dtype)])
    preprocessing = registries.PREPROCESSORS.get(config.preprocessing)(
        config, self.dtype)
    self.is_preprocessed = bool(preprocessing.leaves())
    parts = [preprocessing]
    if config.squeeze_first:
      squeeze = layers.Squeeze(name='squeeze_first', dtype=self.dtype)
      # Preprocesses squeezed images if `mean` is given for their channels.
      parts.insert(0 if len(config.mean) > num_channels else 1, squeeze)
      shape = squeeze.compute_output_shape((None, *shape))[1:]
    if config.first_act_norm:
      parts += self._act_norms('first')
    if dequantization:
      parts.insert(0, dequantization)
    return conditions.make_flow(
        parts + self._scales(0, shape), config, self.dtype)

  def make_classifier(self) -> layers.HybridClassifier | None:
    """Returns the classifier of a hybrid model, built, or None."""
    if not self.config.num_classes:
      return None
    classifier = layers.HybridClassifier(
        self.config.num_classes, self.config.head_channels,
        seed=self.config.seed, name='classifier', dtype=self.dtype)
    classifier.build([(None, *shape) for shape in self.feature_shapes])
    return classifier

  def _act_norms(self, name):
    """Returns the ActNorm layers at one position between blocks on images."""
    return [
        layers.ActNorm(
            per_feature=per_feature, name=f'{field}_{name}', dtype=self.dtype)
        for field, per_feature in (
            ('act_norm', self.config.fully_connected),
            ('feature_act_norm', True))
        if getattr(self.config, field)]

  def _vector_act_norms(self, name):
    """Returns the ActNorm after a block on vectors, as a list of 0 or 1."""
    return [layers.ActNorm(name=f'act_norm_{name}', dtype=self.dtype)
            ] if self.config.act_norm or self.config.feature_act_norm else []

  def _blocks(self, num, make_act_norms, start=0, **settings):
    """Returns the next blocks, numbered in their scale from `start` on."""
    config = self.config
    return blocks.make_blocks((
        blocks.BlockRequest(
            config, index=index, activate_input=config.preactivation and (
                index > 0 or config.activate_first_block), dtype=self.dtype,
            index_in_scale=index_in_scale, **settings)
        for index_in_scale, index in enumerate(
            itertools.islice(self.indices, num), start)), make_act_norms)

  def _scales(self, scale, shape):
    """Returns the bijections from a scale to the end of the flow."""
    config = self.config
    num_hidden = (config.num_dense_hidden_layers if config.fully_connected
                  else len(config.kernel_sizes) - 1)
    parts = self._blocks(
        config.num_blocks[scale], self._act_norms, event_shape=shape,
        hidden=(config.hidden_channels,) * num_hidden,
        kernel_sizes=None if config.fully_connected else config.kernel_sizes,
        sees_pixels=self.is_preprocessed and scale == 0)
    if scale == len(config.num_blocks) - 1:
      return parts + self._last(shape)
    squeeze = layers.Squeeze(name=f'squeeze_{scale}', dtype=self.dtype)
    height, width, channels = squeeze.compute_output_shape((None, *shape))[1:]
    if not config.factor_out:
      shape = (height, width, channels)
      return [*parts, squeeze, *self._tap(shape),
              *self._scales(scale + 1, shape)]
    kept = channels // 2
    self.latent_shapes.append((height, width, channels - kept))
    # For the last scale, the classifier reads the last part factored out.
    num_taps = 0 if not config.num_classes else (
        2 if scale == len(config.num_blocks) - 2 else 1)
    self.feature_shapes += self.latent_shapes[-1:] * num_taps
    return [*parts, squeeze, layers.FactorOut(
        layers.SequentialBijection(
            self._scales(scale + 1, (height, width, kept)),
            name=f'rest_{scale}', dtype=self.dtype),
        num_taps, name=f'split_{scale}')]

  def _last(self, shape):
    """Returns the bijections after the blocks of the last scale."""
    config = self.config
    self.latent_shapes.append(shape)
    parts = self._blocks(
        config.num_dense_blocks, self._vector_act_norms,
        start=config.num_blocks[-1], event_shape=(math.prod(shape),),
        hidden=(config.dense_hidden_units,) * config.num_dense_hidden_layers,
        kernel_sizes=None, flattened_from=shape)
    return [layers.Flatten(name='flatten', dtype=self.dtype), *parts,
            *([] if config.factor_out else self._tap(shape))]

  def _tap(self, shape):
    """Returns a `FeatureTap` for hybrid models, as a list of 0 or 1."""
    if not self.config.num_classes:
      return []
    self.feature_shapes.append(shape)
    return [layers.FeatureTap(
        shape, name=f'tap_{len(self.feature_shapes)}', dtype=self.dtype)]
