"""The paper's image flow."""

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
  """Multi-scale flow on images `[H, W, C]` in [0, 1), of blocks of one kind.

  Preprocessing, then per scale: blocks, each followed by ActNorm (the first
  scale starts with one as well), and behind an invertible linear map where the
  configuration says so, then a 2 x 2 squeeze except after the last
  scale. With `factor_out` the second half of the channels leaves after every
  squeeze. After the last scale come fully connected blocks on the flattened
  features. The very first block of the flow has no leading activation.

  The latents `[D]` are those factored out, in the order in which they leave,
  then the rest, each part flattened from `[h, w, c]` (`latent_shapes`);
  `inverse` takes all of them.

  With `noise_channels` the events have further channels, of noise, which
  samples leave out, and log-densities are lower bounds; see `flow.Flow`.

  With `num_classes` the flow is a hybrid model: a `layers.HybridClassifier`
  reads every scale's output (with `factor_out` what leaves there; for the last
  scale, where nothing leaves, once more what left before it).

  Args:
    config: a `ResidualFlowConfig`, or its fields as a dict.
    name: of the model.
    **kwargs: of `keras.Model`; `dtype` is 'float32' or 'float64'.

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

  get_config = flow.Flow.config_of_fields

  def __init__(
      self, config: residual_flow_config.ResidualFlowConfig | dict,
      name: str = 'residual_flow', **kwargs):
    config = residual_flow_config.ResidualFlowConfig.of(config)
    builder = _Builder(config, kwargs.get('dtype', keras.config.floatx()))
    super().__init__(
        builder.make_bijection(), config.image_shape, config.num_levels,
        builder.make_classifier(), builder.augmentation, name=name, **kwargs)
    self.config = config
    # Shapes [h, w, c] of the parts of the latents, in their order.
    self.latent_shapes = tuple(builder.latent_shapes)


class _Builder:
  """Makes the parts of a `ResidualFlow` in the order of the forward pass."""

  def __init__(self, config, dtype):
    self.config = config
    self.dtype = keras.dtype_policies.get(dtype).name
    self.augmentation = registries.AUGMENTATIONS.get(config.augmentation)(
        config, self.dtype)
    self.indices = itertools.count()
    self.latent_shapes = []
    self.feature_shapes = []

  def make_bijection(self) -> layers.Bijection:
    """Returns the whole flow."""
    config, shape = self.config, self.config.image_shape
    num_channels = shape[-1]
    if self.augmentation is not None:
      shape = self.augmentation.compute_output_shape((None, *shape))[1:]
    preprocessing = registries.PREPROCESSORS.get(config.preprocessing)(
        config, self.dtype)
    self.is_preprocessed = bool(preprocessing.leaves())
    parts = [preprocessing]
    if config.squeeze_first:
      squeeze = layers.Squeeze(name='squeeze_first', dtype=self.dtype)
      # Per channel of the squeezed images, if there are numbers for them.
      parts.insert(0 if len(config.mean) > num_channels else 1, squeeze)
      shape = squeeze.compute_output_shape((None, *shape))[1:]
    if config.first_act_norm:
      parts += self._act_norms('first')
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
    """Returns what stands before the first block on images."""
    return [
        layers.ActNorm(
            per_feature=per_feature, name=f'{kind}_{name}', dtype=self.dtype)
        for kind, per_feature in (
            ('act_norm', self.config.fully_connected),
            ('feature_act_norm', True))
        if getattr(self.config, kind)]

  def _norms(self, name):
    """Returns what follows every block on images."""
    return [*blocks.make_moving_mean(self.config, name, self.dtype),
            *self._act_norms(name)]

  def _vector_norms(self, name):
    """Returns what follows every block on vectors."""
    return [*blocks.make_moving_mean(self.config, name, self.dtype), *(
        [layers.ActNorm(name=f'act_norm_{name}', dtype=self.dtype)]
        if self.config.act_norm or self.config.feature_act_norm else [])]

  def _scales(self, scale, shape):
    """Returns the parts from a scale on."""
    config = self.config
    num_hidden = (config.num_dense_hidden_layers if config.fully_connected
                  else len(config.kernel_sizes) - 1)
    parts = blocks.make_blocks((
        blocks.BlockRequest(
            config, shape, index, (config.hidden_channels,) * num_hidden,
            None if config.fully_connected else config.kernel_sizes,
            config.preactivation and (
                index > 0 or config.activate_first_block), self.dtype,
            place, sees_pixels=self.is_preprocessed and scale == 0)
        for place, index in enumerate(itertools.islice(
            self.indices, config.num_blocks[scale]))), self._norms)
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
    # Where nothing leaves, at last, the head reads what left before.
    num_taps = 0 if not config.num_classes else (
        2 if scale == len(config.num_blocks) - 2 else 1)
    self.feature_shapes += self.latent_shapes[-1:] * num_taps
    return [*parts, squeeze, layers.Split(
        layers.SequentialBijection(
            self._scales(scale + 1, (height, width, kept)),
            name=f'rest_{scale}', dtype=self.dtype),
        num_taps, name=f'split_{scale}')]

  def _last(self, shape):
    """Returns what comes behind the blocks of the last scale."""
    config = self.config
    self.latent_shapes.append(shape)
    parts = blocks.make_blocks((
        blocks.BlockRequest(
            config, (math.prod(shape),), index,
            (config.dense_hidden_units,) * config.num_dense_hidden_layers,
            None, config.preactivation, self.dtype, place, flattened_from=shape)
        for place, index in enumerate(
            itertools.islice(self.indices, config.num_dense_blocks),
            start=config.num_blocks[-1])), self._vector_norms)
    return [layers.Flatten(name='flatten', dtype=self.dtype), *parts,
            *([] if config.factor_out else self._tap(shape))]

  def _tap(self, shape):
    """Returns what lets a feature out, for hybrid models."""
    if not self.config.num_classes:
      return []
    self.feature_shapes.append(shape)
    return [layers.FeatureTap(
        shape, name=f'tap_{len(self.feature_shapes)}', dtype=self.dtype)]
