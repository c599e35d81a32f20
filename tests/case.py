"""What a case of the conformance tests is."""

from collections.abc import Callable
import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb


@dataclasses.dataclass(frozen=True)
class Case:
  """A named constructor and the inputs that suit it.

  Attributes:
    make_fn: maps a dtype name to a new, possibly unbuilt, subject: a layer, a
      bijection, a bijector or a model.
    event_shape: shape of one input.
    is_pixels: whether inputs lie in [0, 1].
    is_integer: whether inputs are whole numbers.
    is_random: whether the log-determinant is drawn.
    has_variables: whether there is something to train.
    per_example: whether every example may have a cotangent of its own.
    has_bi_lipschitz_bounds: whether there are slopes that it keeps to.
    has_condition: whether it is made of what takes a condition.
    kernel_scale: of what is added to initial kernels.
  """

  make_fn: Callable[[str], Any]
  event_shape: tuple[int, ...]
  is_pixels: bool = False
  is_integer: bool = False
  is_random: bool = False
  has_variables: bool = True
  per_example: bool = True
  has_bi_lipschitz_bounds: bool = True
  has_condition: bool = False
  kernel_scale: float = 1.0

  def make(self, dtype: str = 'float32', seed: int = 0) -> Any:
    """Returns a built subject with weights away from their initial values.

    Constrained kernels come out larger than their bound, so that
    normalisation is at work.
    """
    subject = self.make_fn(dtype)
    layer = layer_of(subject)
    if not layer.built:
      layer.build((None, *self.event_shape))
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
      is_kernel = variable.path.endswith('kernel')
      scale = self.kernel_scale if is_kernel else 0.2
      noise = scale * rng.normal(size=variable.shape)
      variable.assign(variable.numpy() + noise.astype(dtype))
    return subject

  def inputs(self, dtype: str = 'float32', batch_size: int = 4,
             seed: int = 0) -> tf.Tensor:
    """Returns a batch, the same for the same seed."""
    rng = np.random.default_rng(100 + seed)
    shape = [batch_size, *self.event_shape]
    draw = rng.uniform if self.is_pixels else rng.normal
    x = draw(size=shape)
    return tf.constant(np.round(9.0 * x) if self.is_integer else x, dtype)


def layer_of(subject: Any) -> keras.layers.Layer:
  """Returns the Keras layer that owns the variables of a subject."""
  return subject.layer if isinstance(subject, tfb.Bijector) else subject
