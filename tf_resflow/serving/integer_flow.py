"""A flow on images of integers, as clients send and receive them."""

from collections.abc import Callable

import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.numerics import chunking
from tf_resflow.numerics import random
from tf_resflow.serving import checks

# Of what fits at a time: a server answers several requests at once.
_SHARE_OF_BATCH = 1 / 16


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
    model: an initialised flow on images of integers.
    estimator: of the log-determinant in `log_prob`, one whose estimate of an
      image does not depend on its batch, see `Estimator.per_example`.
    max_samples: most samples of one request: a few bytes could ask for more
      than there is memory.

  Raises:
    InvalidValueError: if the model has no `num_levels` or is not initialised,
      `max_samples` is not positive, or the estimator lets the images of a batch
      depend on each other.

  Example:
    >>> model = models.ResidualFlowConfig(
    ...     image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,),
    ...     hidden_channels=4, num_dense_blocks=0).build()
    >>> model.initialize(tf.random.stateless_uniform([8, 4, 4, 1], [0, 0]))
    >>> flow = IntegerFlow(
    ...     model, numerics.AdaptiveRoulette().per_example())
    >>> images = flow.sample(4, [0, 1], 1.0)['images']
    >>> flow.log_prob(images, [0, 2])['bits_per_dim'].shape
    TensorShape([4])

  References:
    Theis, van den Oord and Bethge, 2016, Section 3.1 (uniform noise).
  """

  def __init__(self, model: models.Flow, estimator: numerics.Estimator,
               max_samples: int = 4096):
    errors.check(1 <= max_samples < 2**31, 'max_samples', max_samples,
                 'a number from 1 to 2147483647')
    errors.check(
        model.num_levels is not None, 'num_levels', None, 'a number from 2',
        'Only flows on images of integers can be served.')
    errors.check(
        not estimator.batch_dependent, 'estimator', estimator,
        'one with batch_dependent=False',
        'An image would depend on the other images of its batch.')
    errors.check(
        model.is_initialized, 'model', model.name, 'an initialised one',
        'The first request would initialise it: train the model, load a '
        'checkpoint or call model.initialize(x).')
    self.model = model
    self.estimator = estimator
    self.max_samples = max_samples
    dtype = tf.as_dtype(model.compute_dtype)
    self._images = tf.TensorSpec(
        [None, *model.event_shape], tf.uint8, 'images')
    self._latents = tf.TensorSpec([None, model.event_size], dtype, 'latents')
    self._seed = tf.TensorSpec([2], tf.int32, 'seed')
    self._num_samples = tf.TensorSpec([], tf.int32, 'num_samples')
    self._temperature = tf.TensorSpec([], tf.float32, 'temperature')

  def signatures(self) -> dict[str, tuple[Callable, list[tf.TensorSpec]]]:
    """Returns, by name, a method and the specs of what it takes."""
    signatures = {
        'log_prob': (self.log_prob, [self._images, self._seed]),
        'sample': (
            self.sample, [self._num_samples, self._seed, self._temperature]),
        'encode': (self.encode, [self._images]),
        'decode': (self.decode, [self._latents]),
    }
    if self.model.has_classifier:
      signatures['classify'] = self.classify, [self._images]
    return signatures

  def log_prob(
      self, images: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
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
        tf.shape(images), random.fold_in(seed, 0).values)
    log_prob = self._log_prob(
        self._dequantize(images, noise), random.fold_in(seed, 1))
    return {'log_prob': log_prob,
            'bits_per_dim': self.model.bits_per_dim_of(log_prob)}

  def sample(
      self, num_samples: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor,
  ) -> dict[str, tf.Tensor]:
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

  def encode(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
    """Maps images, at the centres of their bins, to latents.

    Args:
      images: uint8 `[B, H, W, C]`.

    Returns:
      `latents`: `[B, D]`; standard normal for images of the model.
    """
    return {'latents': self.model(self._bin_centres(images))}

  def decode(self, latents: tf.Tensor) -> dict[str, tf.Tensor]:
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

  def classify(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
    """Classifies images, at the centres of their bins, with a hybrid model.

    Args:
      images: uint8 `[B, H, W, C]`.

    Returns:
      `logits`, `probabilities`: `[B, num_classes]`.
    """
    logits = self.model.classify(self._bin_centres(images))
    return {'logits': logits, 'probabilities': tf.nn.softmax(logits)}

  def _log_prob(self, x, seed):
    largest = self.estimator.max_batch_size(
        self.model.event_size, self._latents.dtype)
    # Chunks of a batch would draw alike.
    is_whole = largest is None or self.estimator.is_random
    (log_prob,), _ = chunking.map_in_chunks(
        lambda x: ([self.model.log_prob(
            x, seed=seed, estimator=self.estimator)], []),
        None if is_whole else max(1, int(_SHARE_OF_BATCH * largest)), [x],
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
