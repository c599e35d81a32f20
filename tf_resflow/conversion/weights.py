"""Moves the weights and latents of the authors' model into ours, and back.

Their tensors are channels-first (`NCHW`, `OIHW`), ours channels-last. Fully
connected layers see flattened features, so their rows and columns are permuted
between the two orders.

Both flatten the parts of the latents (`model.latent_shapes`: what is factored
out, scale by scale, then the rest) and join them in the same order. This
package flattens every part from `[h, w, c]`, the authors' code from
`[c, h, w]`.
"""

from collections.abc import Iterator, Mapping
import itertools
import math
import os
import re
import reprlib

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.conversion.torch_tensor import Tensor

# Buffers, with which the authors' code remembers something, and the
# parameters of the roulette, which never train.
_NOT_WEIGHTS = {
    'u', 'v', 'scale', 'spatial_dims', 'initialized', 'last_n_samples',
    'last_firmom', 'last_secmom', 'geom_p', 'lamb'}

# The layers of our flows that theirs have as well.
_THEIR_LAYERS = {
    layers.ActNorm, layers.Logit, layers.ResidualBlock, layers.Squeeze,
    layers.Standardize}

_MISMATCH = 'Its tensors and its training arguments do not belong together.'

_KERNEL = re.compile(
    r'transforms\.(\d{1,9})\.chain\.(\d{1,9})\.nnet\.(?:nnet\.)?(\d{1,9})\.'
    'weight')


def _check(condition, name, value, expected, advice=_MISMATCH):
  # Names of unknown tensors may have any length.
  errors.check(condition, f'checkpoint.{name[:100]}', value, expected, advice)


def check_kernels(
    config: models.ResidualFlowConfig,
    path: str | os.PathLike,
    tensors: Mapping[str, Tensor],
) -> None:
  """Holds the kernels in a checkpoint against its arguments, before a model.

  The arguments in a file of a few bytes may ask for a model that no memory
  holds. The kernels are nearly all of a model, and the file has to have them.

  Args:
    config: of the model that the checkpoint's arguments ask for.
    path: of the checkpoint.
    tensors: by the authors' names, as `Checkpoint.weights` returns them.

  Raises:
    errors.InvalidValueError: if the model has other kernels than the file, or
      the file is too small to hold its tensors.
  """

  def check(condition, expected):
    errors.check(condition, 'checkpoint', path, expected, _MISMATCH)

  # A tensor may repeat its numbers; those of bfloat16 grow to float32.
  check(
      sum(math.prod(tensor.shape) * tensor.dtype.itemsize
          for tensor in tensors.values()) <= 2 * os.path.getsize(path),
      'tensors that are not larger than the file')
  matches = ((_KERNEL.fullmatch(name), tensor.shape)
             for name, tensor in tensors.items())
  found = {
      tuple(map(int, match.groups())): shape for match, shape in matches
      if match}
  for scale, expected in enumerate(_kernel_shapes(config)):
    shapes = [found[key] for key in sorted(found) if key[0] == scale]
    # Lazily, up to the first difference: many may be expected.
    for i, (want, have) in enumerate(itertools.zip_longest(expected, shapes)):
      check(want == have, f'the shape {want or "none"} of kernel {i} of scale '
            f'{scale}, not {have or "none"}')
  if config.num_classes:
    head = tensors.get('classification_heads.0.0.weight')
    check(head and head.shape[:1] == (config.head_channels,),
          f'a classifier of {config.head_channels} channels')


def load_weights(
    model: models.ResidualFlow, weights: Mapping[str, Tensor]) -> None:
  """Assigns the authors' tensors to a model.

  Every tensor must find its variable and every variable its tensor. Singular
  vectors are not taken over: the spectral norms converge anew, to the layers'
  own tolerance.

  Args:
    model: a `models.ResidualFlow` of the configuration that
      `convert_arguments` returns.
    weights: by the authors' names, as `Checkpoint.weights` returns them; all
      that is used of a tensor is its method `numpy`.

  Raises:
    errors.InvalidValueError: naming the first tensor that is missing, left
      over, of another shape or not finite; the model may then be assigned in
      part.
  """
  remaining = dict(weights)

  def take(name):
    _check(name in remaining, name, None, 'a tensor')
    value = np.asarray(remaining.pop(name).numpy())
    _check(np.all(np.isfinite(value)), name, 'NaN or infinity',
           'finite numbers', 'The training that wrote it diverged.')
    return value

  for name, variable, image_shapes in _pairs(model):
    value = take(name)
    # Before it is brought in our order, which could cut it to fit.
    expected = _their_shape(tuple(variable.shape))
    _check(value.shape == expected, name, f'a tensor of shape {value.shape}',
           f'the shape {expected}')
    variable.assign(_to_ours(value, image_shapes).reshape(variable.shape))
  for name, layer, _ in _act_norms(model):
    if f'{name}.initialized' in remaining:
      _check(take(f'{name}.initialized'), f'{name}.initialized', 0, '1',
             'The checkpoint was saved before the first batch.')
    layer.initialized.assign(1)
  _check_standardization(model, remaining)
  left = [n for n in remaining if n.rpartition('.')[2] not in _NOT_WEIGHTS]
  _check(not left, min(left, default=''), 'a tensor',
         f'none, as of {len(left)} in all')
  model.save_norms()


def to_channels_first(model: models.ResidualFlow, z: tf.Tensor) -> tf.Tensor:
  """Returns latents in the order of the authors' code.

  Args:
    model: a `models.ResidualFlow`.
    z: `[B, D]`, latents of the model.

  Returns:
    `[B, D]`.

  Example:
    >>> model = conversion.load_model('cifar10_resflow.pth')
    >>> z = tf.zeros([4, model.event_size])
    >>> z_theirs = conversion.to_channels_first(model, z)
  """
  return tf.concat([
      tf.reshape(tf.transpose(
          tf.reshape(part, [-1, h, w, c]), [0, 3, 1, 2]), [-1, h * w * c])
      for part, (h, w, c) in _parts(model, z)], axis=1)


def from_channels_first(model: models.ResidualFlow, z: tf.Tensor) -> tf.Tensor:
  """Returns latents of the authors' code in the order of the model.

  Args:
    model: a `models.ResidualFlow`.
    z: `[B, D]`, in the order of the authors' code.

  Returns:
    `[B, D]`, for `model.inverse`.
  """
  return tf.concat([
      tf.reshape(tf.transpose(
          tf.reshape(part, [-1, c, h, w]), [0, 2, 3, 1]), [-1, h * w * c])
      for part, (h, w, c) in _parts(model, z)], axis=1)


def _check_standardization(model, remaining):
  """Holds the mean and deviation in the file against the configuration."""
  for key in ('mean', 'std'):
    # Their model holds the layer under two names.
    remaining.pop(f'init_layer.{key}', None)
    name = f'transforms.0.chain.0.{key}'
    if name in remaining:
      stored = np.asarray(remaining.pop(name).numpy())
      expected = np.asarray(getattr(model.config, key))[:stored.size]
      _check(
          stored.shape == expected.shape
          and np.allclose(stored, expected, rtol=0, atol=1e-6),
          name, reprlib.repr(stored.tolist()), expected.tolist(),
          'That is what train_img.py has for --data=cifar10 with labels.')


def _chains(model):
  """Yields the authors' name and our layer, for every layer of the flow.

  The third is the shape `(h, w, c)` of what has been flattened behind the last
  scale, None before.
  """
  scale, i, shape = 0, 0, None
  for layer in model.bijection.elementary():
    if layer.name == 'flatten':
      shape = model.latent_shapes[-1]
    # The first squeeze is part of their script, not of their model.
    if type(layer) in _THEIR_LAYERS and layer.name != 'squeeze_first':
      yield f'transforms.{scale}.chain.{i}', layer, shape
      i += 1
    if layer.name == f'squeeze_{scale}':
      scale, i = scale + 1, 0


def _heads(model):
  return enumerate(model.classifier.heads if model.has_classifier else ())


def _act_norms(model):
  """Yields name, layer and shape (see `_pairs`) of every ActNorm."""
  for name, layer, shape in _chains(model):
    if layer.is_data_dependent:
      shape = tuple(layer.bias.shape) if layer.per_feature else shape
      # Those of all features are wrapped.
      yield f'{name}.fc_module' if shape else name, layer, shape
  for scale, head in _heads(model):
    yield f'classification_heads.{scale}.1', head.act_norm, None


def _pairs(model):
  """Yields the name of every tensor, its variable, and shapes for its axes.

  A shape is that of the images, `(h, w, c)`, whose flattened features stand
  along the axis; None if there are other numbers along it.
  """
  for name, layer, shape in _act_norms(model):
    yield f'{name}.weight', layer.log_scale, [shape]
    yield f'{name}.bias', layer.bias, [shape]
  for name, layer, shape in _chains(model):
    if layer.constrained_layers():
      yield from _block_pairs(name, layer, shape)
  for scale, head in _heads(model):
    yield from _linear_pairs(f'classification_heads.{scale}.0', head.conv)
  if model.has_classifier:
    yield from _linear_pairs('logit_layer', model.classifier.dense)


def _linear_pairs(name, layer, output_shape=None, input_shape=None):
  """Yields the pairs of a convolution or a dense layer; see `_pairs`."""
  yield f'{name}.weight', layer.kernel, [output_shape, input_shape]
  yield f'{name}.bias', layer.bias, [output_shape]


def _block_pairs(name, block, image_shape):
  """Yields the pairs of a residual block.

  Args:
    name: the authors' name of the block.
    block: ours.
    image_shape: `(h, w, c)` of the features that a block on vectors flattens;
      None for a block on images.
  """
  parts = list(block.g.parts)
  if not parts[-1].num_constrained:  # Flattened, and brought in shape again.
    image_shape = parts[-1].target_shape
    parts = parts[1:-1]
  linear = block.constrained_layers()
  prefix = f'{name}.nnet.nnet' if image_shape else f'{name}.nnet'
  for i, part in enumerate(parts):
    if part.has_scales:
      yield f'{prefix}.{i}.beta', part.beta, []
    if part.num_constrained:
      yield from _linear_pairs(
          f'{prefix}.{i}', part, image_shape if part is linear[-1] else None,
          image_shape if part is linear[0] else None)


def _their_shape(shape):
  """Returns the shape that a tensor of ours has in the authors' model."""
  if len(shape) in (2, 4):
    *size, inputs, outputs = shape
    return (outputs, inputs, *size)
  return (math.prod(shape),)  # One number or all features are a vector, too.


def _to_ours(value, image_shapes):
  """Returns a tensor in our order of features and of axes; see `_pairs`."""
  for axis, image_shape in enumerate(image_shapes):
    if image_shape:
      h, w, c = image_shape
      order = np.arange(value.shape[axis]).reshape([c, h, w])
      value = value.take(order.transpose([1, 2, 0]).ravel(), axis)
  # `OIHW` to `HWIO`, `OI` to `IO`.
  return value.transpose([2, 3, 1, 0][-value.ndim:])


def _kernel_shapes(config) -> Iterator[Iterator[tuple[int, ...]]]:
  """Yields for every scale the shapes of its kernels, in their order."""
  conv_kernels = [(size, size) for size in config.kernel_sizes]
  dense_kernels = [()] * (config.num_dense_hidden_layers + 1)
  channels = config.image_shape[-1] * (4 if config.squeeze_first else 1)
  size = config.event_size
  for scale, num_blocks in enumerate(config.num_blocks, 1):
    is_last = scale == len(config.num_blocks)
    blocks = (
        _block_shapes(size, config.hidden_channels, dense_kernels)
        if config.fully_connected else
        _block_shapes(channels, config.hidden_channels, conv_kernels))
    dense_blocks = _block_shapes(size, config.dense_hidden_units, dense_kernels)
    yield itertools.chain(
        itertools.chain.from_iterable(itertools.repeat(blocks, num_blocks)),
        dense_blocks * (config.num_dense_blocks if is_last else 0))
    channels *= 2 if config.factor_out else 4
    size //= 2 if config.factor_out else 1


def _block_shapes(num_outer, num_hidden, kernels):
  """Returns the shapes of the kernels of a residual block."""
  widths = [num_outer, *[num_hidden] * (len(kernels) - 1), num_outer]
  return [(outputs, inputs, *kernel) for inputs, outputs, kernel
          in zip(widths[:-1], widths[1:], kernels, strict=True)]


def _parts(model, z):
  """Returns pairs of a part of the latents and its shape `[h, w, c]`."""
  z = tf.convert_to_tensor(z)
  errors.check(
      z.shape.rank == 2 and z.shape[1] == model.event_size, 'z',
      f'a tensor of shape {z.shape}', f'the shape [B, {model.event_size}]')
  sizes = [math.prod(shape) for shape in model.latent_shapes]
  return zip(tf.split(z, sizes, axis=1), model.latent_shapes, strict=True)
