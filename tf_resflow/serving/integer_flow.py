"""A flow on images of integers, as clients send and receive them."""

import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.numerics import random
from tf_resflow.serving import served_flow


class IntegerFlow(served_flow.ServedFlow):
  """What a server answers: a flow on integers in place of densities on [0, 1).

  Images are uint8 `[B, H, W, C]` with the levels `X` in {0, ..., n - 1} of the
  data set (`n = model.num_levels`), in requests and in replies. The model sees

    x = (X + U) / n,   U uniform on [0, 1) for `log_prob`, U = 1/2 elsewhere,

  and `X = floor(n x)` leads back. Where the model's embedding draws noise, so
  do `encode` and `classify`, which then take a seed. Methods return dicts,
  named like the outputs of the signatures that `export` makes of them; they
  work eagerly and in a `tf.function`.

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
    errors.check(
        model.num_levels is not None, 'num_levels', None, 'a number from 2',
        'Flows on vectors are served as VectorSignatures.')
    super().__init__(model, estimator, max_samples)

  def data_specs(self) -> list[tf.TensorSpec]:
    return [tf.TensorSpec(
        [None, *self.model.event_shape], tf.uint8, 'images')]

  def log_prob(
      self, images: tf.Tensor, seed: tf.Tensor, *,
      condition: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
    """Estimates the log-likelihood of images.

    One draw of noise, probes and number of terms; unbiased for
    `E_U log p((X + U) / n)`, a lower bound of `log P(X) + D log n`, or for a
    bound of that where the model's embedding draws. Average over seeds for a
    lower variance.

    Args:
      images: uint8 `[B, H, W, C]`.
      seed: int32 `[2]`.
      condition: of a flow p(x|c), `[B, ...]`, or `[1, ...]` for all: int32
        labels, or numbers.

    Returns:
      `log_prob`: `[B]`, nats, of the density of `x` on [0, 1)^D;
      `bits_per_dim`: `[B]`, `-(log_prob - D log n) / (D log 2)`.
    """
    images = self._checked_images(images)
    seed = self._checked('seed', seed)
    noise = tf.random.stateless_uniform(
        tf.shape(images), random.fold_in(seed, 0).values)
    log_prob = self._log_prob(
        self._dequantize(images, noise), random.fold_in(seed, 1), condition)
    return {'log_prob': log_prob,
            'bits_per_dim': self.model.bits_per_dim_of(log_prob)}

  def encode(
      self, images: tf.Tensor, seed: tf.Tensor | None = None, *,
      condition: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
    """Maps images, at the centres of their bins, to latents.

    Args:
      images: uint8 `[B, H, W, C]`.
      seed: int32 `[2]`, of an embedding that draws; None without one.
      condition: see `log_prob`.

    Returns:
      `latents`: `[B, D]`; standard normal for images of the model. `D` counts
      noise channels as well.
    """
    return self._encode(
        self._bin_centres(images), self._embedding_seed(seed), condition)

  def classify(
      self, images: tf.Tensor, seed: tf.Tensor | None = None, *,
      condition: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
    """Classifies images, at the centres of their bins, with a hybrid model.

    Args:
      images: uint8 `[B, H, W, C]`.
      seed: see `encode`.
      condition: see `log_prob`.

    Returns:
      `logits`, `probabilities`: `[B, num_classes]`.
    """
    x = self._bin_centres(images)
    logits = self.model.classify(
        x, self._checked_condition(condition, tf.shape(x)[0]),
        self._embedding_seed(seed))
    return {'logits': logits, 'probabilities': tf.nn.softmax(logits)}

  def _embedding_seed(self, seed):
    """Returns the seed of what an embedding draws, None if nothing is."""
    if not self.model.embedding.is_random:
      return None
    errors.check(seed is not None, 'seed', None, 'two whole numbers',
                 'The embedding of this model draws noise.')
    return self._checked('seed', seed)

  def _checked_images(self, images):
    """Returns images of levels 0, ..., num_levels - 1."""
    images = self._checked_batch('images', images)
    if self.model.num_levels == 256:
      return images  # Any uint8 is a level.
    largest = tf.reduce_max(images)
    return served_flow.require(
        largest < self.model.num_levels, images,
        ['images has the level', largest, '; expected levels 0 to '
         f'{self.model.num_levels - 1}, as in the data set (not scaled to 0 to '
         '255).'])

  def _bin_centres(self, images):
    return self._dequantize(self._checked_images(images), 0.5)

  def _dequantize(self, images, noise):
    return tf.cast(
        datasets.dequantize(images, noise, self.model.num_levels), self._dtype)

  def _data(self, x):
    """Returns a reply of images of integers."""
    return {'images': datasets.quantize(
        tf.cast(x, tf.float32), self.model.num_levels)}
