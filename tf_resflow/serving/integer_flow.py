"""A flow on images of integers, as clients send and receive them."""

import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.numerics import parts
from tf_resflow.numerics import random
from tf_resflow.serving import checks

# Jacobians of at most so many bytes are taken at a time.
_JACOBIAN_BYTES = 64 * 2**20


class IntegerFlow:
  """What a server answers: a flow on integers in place of densities on [0, 1).

  Images are uint8 `[B, H, W, C]` with the levels `X` in {0, ..., n - 1} of the
  data set (`n = model.num_levels`), in requests and in replies. The model sees

    x = (X + U) / n,   U uniform on [0, 1) for `log_prob`, U = 1/2 elsewhere,

  and `X = floor(n x)` leads back. Methods return dicts, named like the outputs
  of the signatures that `export` makes of them; they work eagerly and in a
  `tf.function`.

  Draws are functions of the seed and of the place of an image in its batch.
  What an image gets does not depend on the other images, up to rounding.

  Args:
    model: a `models.ResidualFlow` whose ActNorms are initialised.
    log_det: estimator of the log-determinant in `log_prob`, such as
      `numerics.AdaptiveRoulette(couples_examples=False)`.
    max_samples: most samples of one request: a few bytes could ask for more
      than there is memory.

  Raises:
    ValueError: if the model has no `num_levels` or is not initialised,
      `max_samples` is not positive, or the estimator lets the images of a batch
      depend on each other.

  Example:
    >>> model = models.ResidualFlow(models.ResidualFlowConfig(
    ...     image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,),
    ...     hidden_channels=4, num_dense_blocks=0))
    >>> model.initialize(tf.random.stateless_uniform([8, 4, 4, 1], [0, 0]))
    >>> flow = IntegerFlow(
    ...     model, numerics.AdaptiveRoulette(couples_examples=False))
    >>> images = flow.sample(4, [0, 1], 1.0)['images']
    >>> flow.log_prob(images, [0, 2])['bits_per_dim'].shape
    TensorShape([4])

  References:
    Theis, van den Oord and Bethge, 2016, Section 3.1 (uniform noise).
  """

  def __init__(self, model, log_det, max_samples=4096):
    if not 1 <= max_samples < 2**31:
      raise ValueError(
          f'max_samples is {max_samples}; expected 1 to 2147483647.')
    if model.num_levels is None:
      raise ValueError(
          f'{model.name} has no num_levels; only flows on images of integers '
          'can be served.')
    if log_det.couples_examples:
      raise ValueError(
          f'log_det is {log_det}, with which the estimate of an image depends '
          'on the other images of its batch; expected an estimator with '
          'couples_examples=False.')
    for layer in model._flatten_layers():  # pylint: disable=protected-access
      if isinstance(layer, layers.ActNorm) and not layer.initialized.numpy():
        raise ValueError(
            f'{layer.name} of {model.name} is not initialised, the first '
            'request would do that; train the model, load a checkpoint or call '
            'model.initialize(x).')
    self.model = model
    self.log_det = log_det
    self.max_samples = max_samples
    dtype = tf.as_dtype(model.compute_dtype)
    self._images = tf.TensorSpec(
        [None, *model.event_shape], tf.uint8, 'images')
    self._latents = tf.TensorSpec([None, model.event_size], dtype, 'latents')
    self._seed = tf.TensorSpec([2], tf.int32, 'seed')
    self._num_samples = tf.TensorSpec([], tf.int32, 'num_samples')
    self._temperature = tf.TensorSpec([], tf.float32, 'temperature')

  def signatures(self):
    """Returns names -> (method, list of the `tf.TensorSpec` it takes)."""
    signatures = {
        'log_prob': (self.log_prob, [self._images, self._seed]),
        'sample': (
            self.sample, [self._num_samples, self._seed, self._temperature]),
        'encode': (self.encode, [self._images]),
        'decode': (self.decode, [self._latents]),
    }
    if self.model.classifier_layers:
      signatures['classify'] = self.classify, [self._images]
    return signatures

  def log_prob(self, images, seed):
    """Estimates the log-likelihood of images.

    One draw of noise, probes and number of terms; unbiased for
    `E_U log p((X + U) / n)`, a lower bound of `log P(X) + D log n`. Average
    over seeds for a lower variance.

    Args:
      images: uint8 `[B, H, W, C]`.
      seed: int32 `[2]`.

    Returns:
      `log_prob`: `[B]`, nats, of the density of `x` on [0, 1)^D;
      `bits_per_dim`: `[B]`, `-(log_prob - D log n) / (D log 2)`.
    """
    images = checks.check_images(images, self._images, self.model.num_levels)
    seed = checks.check_seed(seed, self._seed)
    noise = tf.random.stateless_uniform(
        tf.shape(images), random.fold_in(seed, 0))
    log_prob = self._log_prob(
        self._dequantize(images, noise), random.fold_in(seed, 1))
    return {'log_prob': log_prob,
            'bits_per_dim': self.model.bits_per_dim_of(log_prob)}

  def sample(self, num_samples, seed, temperature):
    """Draws images.

    Args:
      num_samples: int32 scalar, 1 to `max_samples`.
      seed: int32 `[2]`.
      temperature: float32 scalar, standard deviation of the latents.

    Returns:
      `images`: uint8 `[num_samples, H, W, C]`.

    Raises:
      tf.errors.InvalidArgumentError: if an inverse does not converge.
    """
    num_samples = checks.check_num_samples(
        num_samples, self._num_samples, self.max_samples)
    seed = checks.check_seed(seed, self._seed)
    temperature = checks.check_temperature(temperature, self._temperature)
    x = self.model.sample(
        num_samples, seed, tf.cast(temperature, self._latents.dtype))
    return {'images': self._quantize(x)}

  def encode(self, images):
    """Maps images, at the centres of their bins, to latents.

    Args:
      images: uint8 `[B, H, W, C]`.

    Returns:
      `latents`: `[B, D]`; standard normal for images of the model.
    """
    return {'latents': self.model(self._bin_centres(images))}

  def decode(self, latents):
    """Maps latents to images: `decode(encode(images))` returns `images`.

    Args:
      latents: `[B, D]`.

    Returns:
      `images`: uint8 `[B, H, W, C]`.

    Raises:
      tf.errors.InvalidArgumentError: if an inverse does not converge.
    """
    latents = checks.check_latents(latents, self._latents)
    return {'images': self._quantize(self.model.inverse(latents))}

  def classify(self, images):
    """Classifies images, at the centres of their bins, with a hybrid model.

    Args:
      images: uint8 `[B, H, W, C]`.

    Returns:
      `logits`, `probabilities`: `[B, num_classes]`.
    """
    logits = self.model.classify(self._bin_centres(images))
    return {'logits': logits, 'probabilities': tf.nn.softmax(logits)}

  def _log_prob(self, x, seed):
    if not isinstance(self.log_det, numerics.Exact):
      return self.model.log_prob(x, seed=seed, log_det=self.log_det)
    # Without draws, parts of the batch may go through the whole flow.
    jacobian_bytes = self.model.event_size**2 * self._latents.dtype.size
    (log_prob,), _ = parts.in_parts(
        lambda x: ([self.model.log_prob(x, seed, self.log_det)], []),
        max(1, _JACOBIAN_BYTES // jacobian_bytes), [x],
        outputs_like=[tf.reshape(x, [tf.shape(x)[0], -1])[:, 0]],
        unknown_sizes=True)
    return log_prob

  def _bin_centres(self, images):
    images = checks.check_images(images, self._images, self.model.num_levels)
    return self._dequantize(images, 0.5)

  def _dequantize(self, images, noise):
    x = datasets.dequantize(images, noise, self.model.num_levels)
    return tf.cast(x, self._latents.dtype)

  def _quantize(self, x):
    return datasets.quantize(tf.cast(x, tf.float32), self.model.num_levels)
