"""Moves the tensors of the authors' model into ours.

Their tensors are channels-first (`NCHW`, `OIHW`), ours channels-last. Fully
connected layers see flattened features, so their rows and columns are permuted
between the two orders.
"""

from collections.abc import Mapping
import math
import reprlib

import numpy as np

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.conversion.torch_tensor import Tensor

# Buffers, with which the authors' code remembers something, and the
# parameters of the roulette, which never train.
_NOT_WEIGHTS = {
    'u', 'v', 'scale', 'spatial_dims', 'initialized', 'last_n_samples',
    'last_firmom', 'last_secmom', 'geom_p', 'lamb'}


def _check(condition, name, value, expected, advice=(
    'Its tensors and its training arguments do not belong together.')):
  # Names of unknown tensors may have any length.
  errors.check(condition, f'checkpoint.{name[:100]}', value, expected, advice)


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

  for name, variable, to_ours in _pairs(model):
    value = take(name)
    # Before it is brought in our order, which could cut it to fit.
    expected = _their_shape(name, tuple(variable.shape))
    _check(value.shape == expected, name, f'a tensor of shape {value.shape}',
           f'the shape {expected}')
    variable.assign(to_ours(value))
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


def _check_standardization(model, remaining):
  """Holds the mean and deviation in the file against the configuration."""
  for key in ('mean', 'std'):
    # Their model holds the layer under two names.
    remaining.pop(f'init_layer.{key}', None)
    name = f'transforms.0.chain.0.{key}'
    if name not in remaining:
      continue
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
    if type(layer) not in _PAIRS or layer.name == 'squeeze_first':
      continue  # Not in their model; the first squeeze is part of their script.
    yield f'transforms.{scale}.chain.{i}', layer, shape
    i += 1
    if layer.name == f'squeeze_{scale}':
      scale, i = scale + 1, 0


def _heads(model):
  return enumerate(model.classifier.heads if model.has_classifier else ())


def _act_norms(model):
  """Yields name, layer and shape (see `_chains`) of every ActNorm."""
  for name, layer, shape in _chains(model):
    if layer.is_data_dependent:
      # Those of all features are wrapped.
      is_wrapped = layer.per_feature or shape
      yield f'{name}.fc_module' if is_wrapped else name, layer, shape
  for scale, head in _heads(model):
    yield f'classification_heads.{scale}.1', head.act_norm, None


def _pairs(model):
  """Yields (name, variable, function that brings the tensor in our order)."""
  for name, layer, shape in _act_norms(model):
    yield from _act_norm_pairs(name, layer, shape)
  for name, layer, shape in _chains(model):
    if not layer.is_data_dependent:
      yield from _PAIRS[type(layer)](name, layer, shape)
  for scale, head in _heads(model):
    name = f'classification_heads.{scale}.0'
    yield f'{name}.weight', head.conv.kernel, _to_conv_kernel
    yield f'{name}.bias', head.conv.bias, _unchanged
  if model.has_classifier:
    dense = model.classifier.dense
    yield 'logit_layer.weight', dense.kernel, np.transpose
    yield 'logit_layer.bias', dense.bias, _unchanged


def _no_pairs(name, layer, shape):
  """Returns the pairs of a layer without weights."""
  del name, layer, shape
  return ()


def _act_norm_pairs(name, layer, image_shape):
  """Yields the pairs of an ActNorm; see `_block_pairs`."""
  shape = tuple(layer.bias.shape)
  to_ours = (_to_features(image_shape) if image_shape else
             _to_image(shape) if len(shape) == 3 else _unchanged)
  yield f'{name}.weight', layer.log_scale, to_ours
  yield f'{name}.bias', layer.bias, to_ours


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
  linear = [p for p in parts if p.num_constrained]
  prefix = f'{name}.nnet.nnet' if image_shape else f'{name}.nnet'
  for i, part in enumerate(parts):
    if part.has_scales:
      yield f'{prefix}.{i}.beta', part.beta, np.squeeze
    if not part.num_constrained:
      continue
    to_kernel, to_bias = _to_conv_kernel, _unchanged
    if image_shape:
      to_kernel = _to_dense_kernel(
          image_shape if part is linear[0] else None,
          image_shape if part is linear[-1] else None)
      if part is linear[-1]:
        to_bias = _to_features(image_shape)
    yield f'{prefix}.{i}.weight', part.kernel, to_kernel
    yield f'{prefix}.{i}.bias', part.bias, to_bias


# Every kind of layer of their flows, and how its tensors are called there.
_PAIRS = {
    layers.ActNorm: _act_norm_pairs,
    layers.Logit: _no_pairs,
    layers.ResidualBlock: _block_pairs,
    layers.Squeeze: _no_pairs,
    layers.Standardize: _no_pairs,
}


def _their_shape(name, shape):
  """Returns the shape that a tensor of ours has in the authors' model."""
  if name.endswith('.beta'):
    return (1,)
  if name.endswith('.bias') or name.endswith('.weight') and len(shape) == 3:
    return (math.prod(shape),)  # ActNorms of all features are flat.
  if len(shape) == 4:
    height, width, inputs, outputs = shape
    return (outputs, inputs, height, width)
  return shape[::-1]


def _unchanged(value):
  return value


def _to_conv_kernel(value):
  """`OIHW` to `HWIO`."""
  return np.transpose(value, [2, 3, 1, 0])


def _feature_order(image_shape):
  """Returns where the features of ours stand in theirs."""
  h, w, c = image_shape
  return np.arange(h * w * c).reshape([c, h, w]).transpose([1, 2, 0]).ravel()


def _to_features(image_shape):
  """Returns a function that orders a vector over flattened features."""
  order = _feature_order(image_shape)
  return lambda value: value[order]


def _to_image(image_shape):
  """Returns a function that turns such a vector into `[h, w, c]`."""
  to_features = _to_features(image_shape)
  return lambda value: to_features(value).reshape(image_shape)


def _to_dense_kernel(input_shape, output_shape):
  """Returns a function from `[out, in]` to `[in, out]` in our orders.

  Args:
    input_shape: `(h, w, c)` if the inputs are flattened features, or None.
    output_shape: likewise.
  """

  def to_ours(value):
    kernel = np.transpose(value)
    if input_shape is not None:
      kernel = kernel[_feature_order(input_shape)]
    if output_shape is not None:
      kernel = kernel[:, _feature_order(output_shape)]
    return kernel

  return to_ours
