"""The paper's image flow."""

import dataclasses
import itertools
import math

import keras
import tensorflow as tf

from tf_resflow import layers
from tf_resflow.models import blocks
from tf_resflow.models import flow
from tf_resflow.models import residual_flow_config
from tf_resflow.numerics import random


@keras.saving.register_keras_serializable('tf_resflow')
class ResidualFlow(flow.Flow):
  """Multi-scale residual flow on images `[H, W, C]` in [0, 1).

  Preprocessing, then per scale: residual blocks, each followed by ActNorm
  (the first scale starts with one as well), then a 2 x 2 squeeze except after
  the last scale. With `factor_out` the second half of the channels leaves
  after every squeeze. After the last scale come fully connected residual
  blocks on the flattened features. The very first block of the flow has no
  leading activation.

  The latents `[D]` are those factored out, in the order in which they leave,
  then the rest, each part flattened from `[h, w, c]` (`latent_shapes`);
  `inverse` takes all of them.

  With `num_classes` the flow is a hybrid model: a `ClassifierHead` per scale
  reads that scale's output (with `factor_out` what leaves there; the last
  scale, where nothing leaves, reads once more what left before it), and one
  dense layer turns all of them into logits.

  Args:
    config: a `ResidualFlowConfig`, or its fields as a dict.
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

  def __init__(self, config, **kwargs):
    if isinstance(config, dict):
      config = residual_flow_config.ResidualFlowConfig(**config)
    kwargs.setdefault('name', 'residual_flow')
    super().__init__(
        config.image_shape, num_levels=config.num_levels, **kwargs)
    self.config = config
    self._indices = itertools.count()
    self._split_shapes = []
    self._feature_shapes = []
    # A list of lists per scale; Keras tracks the layers in it.
    self.scales, shape = self._make_scales()
    self._last_shape = shape
    self.dense_stack = self._make_dense_stack()
    self.heads, self.classifier = self._make_classifier()
    self._track_layers()
    self.built = True

  def _add(self, stack, layer, shape):
    """Builds a layer, appends it and returns the shape of its outputs."""
    layer.build((None, *shape))
    stack.append(layer)
    return tuple(layer.compute_output_shape((None, *shape))[1:])

  def _add_preprocessing(self, stack, shape):
    """Adds the first layers of the flow; returns the shape behind them."""
    config, dtype = self.config, self.compute_dtype
    squeeze = layers.Squeeze(name='squeeze_first', dtype=dtype)
    is_squeezed_before = config.squeeze_first and len(config.mean) > shape[-1]
    if is_squeezed_before:
      shape = self._add(stack, squeeze, shape)
    if config.preprocessing == 'logit':
      shape = self._add(stack, layers.Logit(
          config.logit_alpha, name='logit', dtype=dtype), shape)
    elif config.preprocessing == 'standardize':
      shape = self._add(stack, layers.Standardize(
          config.mean, config.std, name='standardize', dtype=dtype), shape)
    if config.squeeze_first and not is_squeezed_before:
      shape = self._add(stack, squeeze, shape)
    return shape

  def _add_act_norms(self, stack, name, shape):
    """Adds what follows every block of a scale."""
    config, dtype = self.config, self.compute_dtype
    if config.act_norm:
      self._add(stack, layers.ActNorm(
          per_feature=config.fully_connected, name=f'act_norm_{name}',
          dtype=dtype), shape)
    if config.feature_act_norm:
      self._add(stack, layers.ActNorm(
          per_feature=True, name=f'feature_act_norm_{name}', dtype=dtype),
                shape)

  def _make_block(self, index, shape):
    """Returns block `index` of the scales."""
    config = self.config
    activate_input = config.preactivation and (
        index > 0 or config.activate_first_block)
    if config.fully_connected:
      hidden_units = [config.hidden_channels] * config.num_dense_hidden_layers
      return blocks.make_dense_block(
          config, shape, hidden_units, index, activate_input,
          self.compute_dtype)
    return blocks.make_conv_block(
        config, shape, index, activate_input, self.compute_dtype)

  def _make_scales(self):
    """Returns one list of built layers per scale, and the last shape."""
    config = self.config
    scales, shape = [], config.image_shape
    for scale, num_blocks in enumerate(config.num_blocks):
      stack = []
      if scale == 0:
        shape = self._add_preprocessing(stack, shape)
        if config.first_act_norm:
          self._add_act_norms(stack, 'first', shape)
      for index in itertools.islice(self._indices, num_blocks):
        block = self._make_block(index, shape)
        self._add(stack, block, shape)
        blocks.share_traces(block, [*itertools.chain(*scales), *stack])
        self._add_act_norms(stack, index, shape)
      if scale < len(config.num_blocks) - 1:
        shape = self._add(stack, layers.Squeeze(
            name=f'squeeze_{scale}', dtype=self.compute_dtype), shape)
        if config.factor_out:
          height, width, channels = shape
          kept = channels // 2
          self._split_shapes.append((height, width, channels - kept))
          shape = (height, width, kept)
      scales.append(stack)
      if config.num_classes:
        self._feature_shapes.append(
            self._split_shapes[-1] if config.factor_out else shape)
    return scales, tuple(shape)

  def _make_dense_stack(self):
    """Returns the fully connected blocks and their ActNorms, all built."""
    config = self.config
    shape = (math.prod(self._last_shape),)
    hidden_units = (
        [config.dense_hidden_units] * config.num_dense_hidden_layers)
    stack = []
    for index in itertools.islice(self._indices, config.num_dense_blocks):
      block = blocks.make_dense_block(
          config, shape, hidden_units, index, config.preactivation,
          self.compute_dtype)
      self._add(stack, block, shape)
      blocks.share_traces(block, stack)
      if config.act_norm or config.feature_act_norm:
        self._add(stack, layers.ActNorm(
            name=f'act_norm_{index}', dtype=self.compute_dtype), shape)
    return stack

  def _make_classifier(self):
    """Returns the heads and the layer behind them, built; `[], None`."""
    config, dtype = self.config, self.compute_dtype
    if not config.num_classes:
      return [], None
    heads = []
    for scale, shape in enumerate(self._feature_shapes):
      self._add(heads, layers.ClassifierHead(
          config.head_channels, seed=config.seed + scale,
          name=f'head_{scale}', dtype=dtype), shape)
    classifier = keras.layers.Dense(
        config.num_classes, name='classifier', dtype=dtype,
        kernel_initializer=keras.initializers.GlorotUniform(config.seed))
    classifier.build((None, config.head_channels * len(heads)))
    return heads, classifier

  @property
  def invertible_layers(self):
    return [*itertools.chain(*self.scales), *self.dense_stack]

  @property
  def classifier_layers(self):
    """The heads and the dense layer behind them; none without classes."""
    return [*self.heads, self.classifier] if self.heads else []

  @property
  def latent_shapes(self):
    """Shapes `[h, w, c]` of the parts of the latents, in their order."""
    return (*self._split_shapes, self._last_shape)

  def _traverse(self, x, run_fn):
    """Sends images through the flow.

    Args:
      x: `[B, H, W, C]`.
      run_fn: maps a list of layers and their input to their output.

    Returns:
      The latents `[B, D]`, and one tensor of features per scale for the
      classifier.
    """
    batch_size = tf.shape(x)[0]
    latents, features = [], []
    for scale, stack in enumerate(self.scales):
      x = run_fn(stack, x)
      is_last = scale == len(self.scales) - 1
      if self.config.factor_out and not is_last:
        leaving = self._split_shapes[scale]
        x, factored = tf.split(x, [x.shape[-1] - leaving[-1], leaving[-1]], -1)
        latents.append(tf.reshape(factored, [batch_size, math.prod(leaving)]))
        features.append(factored)
      elif not is_last:
        features.append(x)
    x = tf.reshape(x, [batch_size, math.prod(self._last_shape)])
    x = run_fn(self.dense_stack, x)
    if self.config.factor_out:
      features += features[-1:]
    else:
      features.append(tf.reshape(x, [batch_size, *self._last_shape]))
    return tf.concat([*latents, x], axis=1), features

  def _estimate(self, x, seed, log_det):
    """Returns latents, the log-determinant and the classifier's features."""
    seed = random.as_seed(seed)
    counter = itertools.count()
    x = self._check_events(x, self.event_shape, 'x')
    total = tf.zeros([tf.shape(x)[0]], x.dtype)

    def run(stack, x):
      nonlocal total
      x, total = self._run_layers(stack, x, total, seed, log_det, counter)
      return x

    z, features = self._traverse(x, run)
    return z, total, features

  def forward_and_log_det(self, x, seed=None, log_det=None):
    z, total, _ = self._estimate(x, seed, log_det)
    return z, total

  def bits_per_dim_and_logits(self, x, seed=None, log_det=None):
    """Returns what `bits_per_dim` does and the class logits, from one pass.

    Args:
      x: `[B, H, W, C]`.
      seed: see `forward_and_log_det`.
      log_det: an estimator to use in place of the configured one.

    Returns:
      `bits`: `[B]`, bits per dimension; `logits`: `[B, num_classes]`.

    Raises:
      ValueError: if the model has no classifier.
    """
    self._check_has_classifier()
    z, total, features = self._estimate(x, seed, log_det)
    bits = self.bits_per_dim_of(self.base_log_prob(z) + total)
    return bits, self._logits(features)

  def _evaluate(self, x):
    """Returns latents and the classifier's features, no log-determinant."""

    def run(stack, x):
      for layer in stack:
        x = layer(x)
      return x

    return self._traverse(self._check_events(x, self.event_shape, 'x'), run)

  def call(self, inputs):
    return self._evaluate(inputs)[0]

  def classify(self, x):
    """Returns the class logits of images; takes no log-determinant.

    Args:
      x: `[B, H, W, C]`.

    Returns:
      `[B, num_classes]`, unnormalised log-probabilities.

    Raises:
      ValueError: if the model has no classifier.
    """
    self._check_has_classifier()
    return self._logits(self._evaluate(x)[1])

  def _check_has_classifier(self):
    if not self.heads:
      raise ValueError(
          f'{self.name} has no classifier: its num_classes is 0. Hybrid models '
          'are configured with num_classes of 2 or more.')

  def _logits(self, features):
    return self.classifier(tf.concat(
        [head(f) for head, f in zip(self.heads, features, strict=True)], 1))

  def initialize(self, x):
    """Runs every layer once, so that ActNorms set themselves from a batch."""
    if self.heads:
      self.classify(x)
    else:
      self(x)

  def inverse(self, z, solver=None, on_block=None):
    z = self._check_events(z, (self.event_size,), 'z')
    batch_size = tf.shape(z)[0]
    sizes = [math.prod(shape) for shape in self.latent_shapes]
    *latents, x = tf.split(z, sizes, axis=1)
    x = self._invert_layers(self.dense_stack, x, solver, on_block)
    x = tf.reshape(x, [batch_size, *self._last_shape])
    for scale in reversed(range(len(self.scales))):
      if self.config.factor_out and scale < len(self.scales) - 1:
        factored = tf.reshape(
            latents[scale], [batch_size, *self._split_shapes[scale]])
        x = tf.concat([x, factored], axis=-1)
      x = self._invert_layers(self.scales[scale], x, solver, on_block)
    return x

  def get_config(self):
    return {
        'config': dataclasses.asdict(self.config),
        'name': self.name,
        'dtype': self.compute_dtype,
    }
