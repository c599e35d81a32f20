"""Converts weights and latents between the authors' models and ours.

Their tensors are channels-first (`NCHW`, `OIHW`), ours channels-last. Fully
connected layers see flattened features, so their rows and columns are permuted
between the two orders.

Both flatten the parts of the latents (`model.latent_shapes`: what is factored
out, scale by scale, then the rest) and join them in the same order. This
package flattens every part from `[h, w, c]`, the authors' code from
`[c, h, w]`.
"""

from collections.abc import Mapping, Sequence
import itertools
import math
import reprlib
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.numerics.norms import operators

# Buffers of the authors' code, the parameters of the roulette, which are not
# trained, and the second names of learned orders, each of which belongs to two
# layers.
_NOT_WEIGHTS = {
    'domain', 'codomain', 'u', 'v', 'scale', 'spatial_dims', 'initialized',
    'last_n_samples', 'last_firmom', 'last_secmom', 'geom_p', 'lamb'}

_MISMATCH = 'The tensors do not match the training arguments.'


def _check(condition, name, value=None, expected='', advice=_MISMATCH,
           problem=''):
  # Names of untrusted tensors may have any length.
  errors.check(condition, f'checkpoint.{name[:100]}', value, expected, advice,
               problem=problem)


def load_weights(
    model: models.ResidualFlow,
    weights: Mapping[str, np.ndarray]) -> None:
  """Assigns the authors' tensors to a model.

  Tensors and variables must match one to one. Singular vectors are not copied:
  the spectral norms converge again, to the tolerance of the layers. Estimates
  of other norms, which depend on their starting vectors, start from the vectors
  `v` of the file and take up to 2,000 steps.

  Args:
    model: of the configuration that `arguments.convert_arguments` returns.
    weights: by the authors' names, as `Checkpoint.weights` returns them.

  Raises:
    errors.InvalidValueError: naming the first tensor that is missing, unknown,
      of a wrong shape or not finite, or the first matrix without an inverse;
      some variables may then be assigned.
  """
  remaining = dict(weights)
  for pair in _pairs(model):
    value = _take(remaining, pair.name)
    # Checked before it is reordered, which could cut off numbers.
    expected = pair.expected_shape()
    _check(value.shape == expected, pair.name,
           f'a tensor of shape {value.shape}', f'the shape {expected}')
    pair.assign(value)
  for name, layer, _ in _act_norms(model):
    if f'{name}.initialized' in remaining:
      _check(_take(remaining, f'{name}.initialized'), f'{name}.initialized', 0,
             '1', 'The checkpoint was saved before the first batch.')
    layer.initialized.assign(1)
  # Their model has the standardisation under two names.
  for prefix, key in itertools.product(
      ('init_layer', 'transforms.0.chain.0'), ('mean', 'std')):
    name, expected = f'{prefix}.{key}', getattr(model.config, key)[:3]
    if name in remaining:
      value = _take(remaining, name)
      _check(value.shape == np.shape(expected)
             and np.allclose(value, expected, rtol=0, atol=1e-6),
             name, reprlib.repr(value.tolist()), list(expected),
             'These are the values of train_img.py for --data=cifar10.')
  left = [n for n in remaining if n.rpartition('.')[2] not in _NOT_WEIGHTS]
  _check(not left, min(left, default=''), problem=(
      f'has no variable in the model (1 of {len(left)} tensors)'))
  model.bijection.check_weights()
  _converge_estimates(model)
  model.save_norms()


def _take(weights, name):
  """Removes and returns a tensor of finite numbers, or raises."""
  _check(name in weights, name, problem='is missing')
  value = weights.pop(name)
  _check(value.dtype.kind in 'fiu', name, 'numbers of another type',
         'float16, 32 or 64', 'Convert it before it is saved.')
  _check(np.all(np.isfinite(value)), name, 'NaN or infinity',
         'finite numbers', 'The training diverged.')
  return value


def _converge_estimates(model):
  """Iterates estimated norms beyond the tolerance of layers, in float64."""
  for layer in model.constrained_layers:
    if not layer.is_proven:
      variables, (rows, _) = layer.tensors()
      orders = [tf.cast(order, tf.float64) if tf.is_tensor(order) else order
                for order in layer.orders(variables)]
      mapping = operators.LayerOperator(
          tf.cast(variables[0], tf.float64), layer.spatial_shape, *orders)
      result = layer.operator_norm.converge(
          mapping, tf.cast(rows, tf.float64), tolerance=1e-8, max_steps=2000,
          min_steps=tf.constant(0))
      layer.v.assign(tf.cast(result.rows, rows.dtype))


def to_channels_first(model: models.ResidualFlow, z: tf.Tensor) -> tf.Tensor:
  """Returns latents of the model, `[B, D]`, in the order of the authors' code.
  """
  return _reordered(model, z, np.argsort)


def from_channels_first(model: models.ResidualFlow, z: tf.Tensor) -> tf.Tensor:
  """Returns latents of the authors' code, `[B, D]`, in the order of the model.
  """
  return _reordered(model, z, np.asarray)


def _positions(image_shape):
  """Returns the positions of our features in the authors' order."""
  h, w, c = image_shape
  return np.arange(h * w * c).reshape([c, h, w]).transpose([1, 2, 0]).ravel()


def _reordered(model, z, make_positions):
  z = tf.convert_to_tensor(z)
  errors.check(
      z.shape.rank == 2 and z.shape[1] == model.event_size, 'z',
      f'a tensor of shape {z.shape}', f'the shape [B, {model.event_size}]')
  parts = tf.split(z, list(map(math.prod, model.latent_shapes)), axis=1)
  return tf.concat([
      tf.gather(part, make_positions(_positions(shape)), axis=1)
      for part, shape in zip(parts, model.latent_shapes, strict=True)], axis=1)


def _chains(model):
  """Yields the authors' names, our layers, and the shape that was flattened."""
  scale, i, shape = 0, 0, None
  for layer in model.bijection.leaves():
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
  """Yields name, layer and shape (see `_Pair`) of every ActNorm."""
  for name, layer, shape in _chains(model):
    if layer.is_data_dependent:
      shape = tuple(layer.bias.shape) if layer.per_feature else shape
      # Layers over flattened features are wrapped.
      yield f'{name}.fc_module' if shape else name, layer, shape
  for scale, head in _heads(model):
    yield f'classification_heads.{scale}.1', head.act_norm, None


class _Pair(NamedTuple):
  """A tensor of the authors and the variable that corresponds to it.

  Attributes:
    name: of the tensor.
    variable: ours.
    image_shapes: for every axis of the tensor `(h, w, c)` of the images whose
      flattened features stand along it, or None.
    axes: those of the tensor in the order of the variable, for tensors of less
      than four the last ones: `OIHW` to `HWIO`, `OI` to `IO` by default.
    shape: of the tensor, where it does not follow from that of the variable.
  """

  name: str
  variable: keras.Variable
  image_shapes: Sequence[tuple | None] = ()
  axes: tuple[int, ...] = (2, 3, 1, 0)
  shape: tuple[int, ...] | None = None

  def expected_shape(self):
    """Returns the required shape of the tensor."""
    if self.shape is not None:
      return self.shape
    shape = tuple(self.variable.shape)
    if len(shape) not in (2, 4):  # Scalars and features are vectors there.
      return (math.prod(shape),)
    return tuple(shape[i] for i in np.argsort(self.axes[-len(shape):]))

  def assign(self, value):
    """Assigns the numbers of the tensor, an array, to the variable."""
    for axis, image_shape in enumerate(self.image_shapes):
      if image_shape:
        value = value.take(_positions(image_shape), axis)
    self.variable.assign(value.transpose(
        self.axes[len(self.axes) - value.ndim:]).reshape(self.variable.shape))


def _pairs(model):
  for name, layer, shape in _act_norms(model):
    yield _Pair(f'{name}.weight', layer.log_scale, [shape])
    yield _Pair(f'{name}.bias', layer.bias, [shape])
  for name, layer, shape in _chains(model):
    yield from _THEIR_LAYERS[type(layer)](name, layer, shape)
  for scale, head in _heads(model):
    yield from _linear_pairs(f'classification_heads.{scale}.0', head.conv)
  if model.has_classifier:
    yield from _linear_pairs('logit_layer', model.classifier.dense)


def _norm_pairs(name, layer, input_shape, previous):
  """Yields the pairs of the norms of a layer, which follows `previous`."""
  if layer.learns_orders:
    # Averages contain an order only by its first name.
    yield _Pair(f'{previous}.codomain' if previous else f'{name}.domain',
                layer.domain.raw, shape=())
  if not layer.is_proven:
    *kernel_size, num_inputs, _ = layer.kernel.shape
    if math.prod(kernel_size) > 1:
      input_shape = (*layer.spatial_shape, num_inputs)
    yield _Pair(f'{name}.v', layer.v, [input_shape],
                shape=(layer.v.shape[-1],))


def _linear_pairs(name, layer, output_shape=None, input_shape=None):
  kernel, bias = layer.trainable_variables[:2]
  yield _Pair(f'{name}.weight', kernel, [output_shape, input_shape])
  yield _Pair(f'{name}.bias', bias, [output_shape])


def _network_pairs(name, network, image_shape):
  parts = list(network.parts)
  if not parts[-1].trainable_variables:  # Flattens and reshapes back.
    image_shape = parts[-1].target_shape
    parts = parts[1:-1]
  prefix = f'{name}.nnet.nnet' if image_shape else f'{name}.nnet'
  linear = [i for i, part in enumerate(parts)
            if part.trainable_variables and not part.has_scales]
  previous = None
  for i, part in enumerate(parts):
    if part.has_scales:
      yield _Pair(f'{prefix}.{i}.beta', part.beta)
    if i in linear:
      inputs = image_shape if i == linear[0] else None
      if inputs:  # A coupling takes half of the channels.
        h, w, _ = image_shape
        inputs = (h, w, part.trainable_variables[0].shape[0] // (h * w))
      name = f'{prefix}.{i}'
      yield from _linear_pairs(
          name, part, image_shape if i == linear[-1] else None, inputs)
      yield from _norm_pairs(name, part, inputs, previous)
      previous = name


# The layers that the authors' flows have as well, with the pairs of each; those
# of ActNorm are in `_pairs`.
_THEIR_LAYERS = {
    **dict.fromkeys((
        layers.ActNorm, layers.Logit, layers.Squeeze, layers.Standardize),
                    lambda name, layer, image_shape: ()),
    layers.AffineCoupling: lambda name, block, image_shape: _network_pairs(
        name, block.network, image_shape),
    layers.InvertibleConv1x1: lambda name, layer, image_shape: [
        _Pair(f'{name}.weight', layer.entries, axes=(0, 1))],
    layers.InvertibleLinear: lambda name, layer, image_shape: [_Pair(
        f'{name}.fc_module.weight', layer.entries,
        [layer.get_build_config()['input_shape'][-3:]] * 2, axes=(0, 1))],
    layers.ResidualBlock: lambda name, block, image_shape: _network_pairs(
        name, block.g, image_shape)}
