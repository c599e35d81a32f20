"""Feature extractors: networks from images to vectors, read from files."""

from collections.abc import Callable, Sequence
import functools
import os
from typing import Any

import keras
import numpy as np
from numpy import typing as npt
import tensorflow as tf

from tf_resflow import errors

# Image size for networks that take any; that of Inception in training.
_INCEPTION_SIZE = 299
_KERAS_SUFFIXES = ('.keras', '.h5')
_NAMED_SIGNATURES = ('serving_default', 'default')


class FeatureExtractor:
  """A feature network with the preprocessing of its images.

  Bytes 0..255 are scaled linearly to `input_range`, resized to `input_size`
  (bilinear, half-pixel centres, with antialiasing where images shrink), and
  grey images are repeated over the channels.

  Args:
    function: maps floats `[B, h, w, c]` to features `[B, F]`, or to a dict.
    input_shape: `(h, w, c)` of the network; None where it takes any.
    input_size: height and width to resize to where the network takes any, by
      default 299.
    input_range: `(low, high)`, what 0 and 255 become.
    feature_name: which output, where there are several.

  Raises:
    InvalidValueError: if the sizes contradict each other.
  """

  def __init__(
      self, function: Callable[[tf.Tensor], Any],
      input_shape: Sequence[int | None] = (None, None, None),
      input_size: int | None = None, input_range: Sequence[float] = (-1.0, 1.0),
      feature_name: str | None = None):
    self._function = function
    height, width, self.num_channels = input_shape
    default = input_size or _INCEPTION_SIZE
    self.input_size = (height or default, width or default)
    errors.check(
        input_size is None or self.input_size == (input_size, input_size),
        'input_size', input_size, problem='does not match the network, which '
        f'takes {height} x {width} images')
    self.input_range = tuple(input_range)
    errors.check(
        len(self.input_range) == 2 and np.all(np.isfinite(self.input_range))
        and self.input_range[0] < self.input_range[1], 'input_range',
        ','.join(map(str, self.input_range)),
        'two increasing numbers, such as -1,1')
    self._feature_name = feature_name
    self._extract = tf.function(self._extract_batch, autograph=False)

  def __call__(self, images: npt.ArrayLike) -> np.ndarray:
    """Returns features, float32 `[B, F]`, of images, uint8 `[B, H, W, C]`.

    Raises:
      InvalidValueError: if the network does not take such images, or its output
        is not one finite vector per image.
    """
    images = tf.convert_to_tensor(images)
    # One graph for batches of all sizes.
    features = self._extract.get_concrete_function(tf.TensorSpec(
        [None, *images.shape[1:]], images.dtype))(images).numpy()
    errors.check(
        np.all(np.isfinite(features)), 'features', 'NaN or infinite',
        'finite numbers', 'Check that the network takes images in '
        f'[{self.input_range[0]:g}, {self.input_range[1]:g}].')
    return features

  def description(self, image_shape: Sequence[int]) -> dict[str, Any]:
    """Returns the preprocessing of images `[H, W, C]`, for reports."""
    *size, channels = image_shape
    return {
        'input_range': list(self.input_range),
        'input_size': list(self.input_size), 'image_size': size,
        'resize': 'none' if tuple(size) == self.input_size else
                  'bilinear, half-pixel centres, antialiased',
        'channels': f'{channels} repeated to {self.num_channels}'
                    if self.num_channels not in (None, channels)
                    else str(channels)}

  def _extract_batch(self, images):
    """Returns features `[B, F]` of uint8 images `[B, H, W, C]`."""
    errors.check(images.dtype == tf.uint8, 'images', images.dtype.name, 'uint8')
    low, high = self.input_range
    x = low + tf.cast(images, tf.float32) * ((high - low) / 255.0)
    x = tf.image.resize(x, self.input_size, antialias=True)
    if self.num_channels not in (None, x.shape[-1]):
      errors.check(
          x.shape[-1] == 1, 'images', f'{x.shape[-1]} channels',
          f'1 or {self.num_channels}, which the network takes')
      x = tf.repeat(x, self.num_channels, axis=-1)
    outputs = self._function(x)
    if not isinstance(outputs, dict):
      outputs = {'output': outputs}
    name = self._feature_name or (
        next(iter(outputs)) if len(outputs) == 1 else None)
    errors.check(name in outputs, 'feature_name', name,
                 f'one of the outputs {", ".join(sorted(outputs))}')
    features = outputs[name]
    if features.shape.rank == 4 and list(features.shape[1:3]) == [1, 1]:
      features = features[:, 0, 0]
    errors.check(
        features.shape.rank == 2, 'features', f'a tensor {features.shape}',
        '[B, F]', 'Let the network end in a global average (pooling="avg" in '
        'keras.applications).')
    return tf.cast(features, tf.float32)


def load_feature_extractor(
    path: str | os.PathLike, **options: Any) -> FeatureExtractor:
  """Reads a feature network from a Keras file or a SavedModel.

  Args:
    path: a .keras or .h5 file, or the folder of a SavedModel, whose signature
      `serving_default` is called, else its only signature, else the object
      itself.
    **options: of `FeatureExtractor`: `input_size`, `input_range`,
      `feature_name`.

  Raises:
    InvalidValueError: if the path holds no network with one image input.

  Example:
    >>> images = keras.Input([None, None, 3])
    >>> features = keras.layers.GlobalAveragePooling2D()(images)
    >>> keras.Model(images, features).save('network.keras')
    >>> extract = load_feature_extractor('network.keras', input_size=16)
    >>> extract(np.zeros([4, 32, 32, 3], np.uint8)).shape
    (4, 3)
  """
  path = os.fspath(path)
  is_folder = os.path.isdir(path)
  errors.check(
      is_folder or (os.path.exists(path) and path.endswith(_KERAS_SUFFIXES)),
      'inception', path, f'a file that ends in {" or ".join(_KERAS_SUFFIXES)}, '
      'or the folder of a SavedModel',
      '' if os.path.exists(path) else 'It does not exist.')
  try:
    function, input_shape = (
        _from_saved_model if is_folder else _from_keras)(path)
  except Exception as error:  # The loaders document no common error type.
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise errors.InvalidValueError(
        'inception', path, 'a feature network', f'It cannot be read: '
        f'{first_line}') from error
  return FeatureExtractor(function, input_shape, **options)


def _input_shape(shapes):
  """Returns `(h, w, c)` of the only input."""
  errors.check(
      len(shapes) == 1 and shapes[0].rank in (None, 4), 'inputs',
      ', '.join(map(str, shapes)) or 'nothing',
      'one batch of images [B, h, w, c]')
  return tuple(shapes[0].with_rank(4).as_list()[1:])


def _callable_input_shape(model):
  """Returns `(h, w, c)` of a SavedModel that is called directly."""
  # One function per shape, structure or flag that it was saved with.
  shapes = [
      arguments[0].shape for arguments, _ in (
          f.structured_input_signature
          for f in getattr(model.__call__, 'concrete_functions', ()))
      if arguments and isinstance(arguments[0], tf.TensorSpec)]
  return _input_shape([functools.reduce(
      tf.TensorShape.most_specific_compatible_shape,
      shapes or [tf.TensorShape(None)])])


def _from_keras(path):
  model = keras.models.load_model(path, compile=False)

  def function(x):
    outputs = model(x, training=False)
    return dict(zip(model.output_names, outputs, strict=True)) if isinstance(
        outputs, (list, tuple)) else outputs

  return function, _input_shape(
      [tf.TensorShape(t.shape) for t in model.inputs or []])


def _from_saved_model(path):
  model = tf.saved_model.load(path)
  signatures = dict(model.signatures)
  named = [name for name in _NAMED_SIGNATURES if name in signatures]
  if named or len(signatures) == 1:
    signature = signatures[named[0] if named else next(iter(signatures))]
    specs = signature.structured_input_signature[1]
    input_shape = _input_shape([spec.shape for spec in specs.values()])
    (name,) = specs
    errors.check(
        specs[name].dtype == tf.float32, 'inputs', specs[name].dtype.name,
        'float32')

    # Signatures do not keep the variables alive.
    def function(x, unused_model=model):
      return signature(**{name: x})

    return function, input_shape
  errors.check(
      callable(model), 'signatures', ', '.join(signatures) or 'none',
      'one, or serving_default')
  return model, _callable_input_shape(model)
