"""Base classes and helpers of all layers of this package."""

from collections.abc import Iterable, Sequence
import contextlib
import inspect
import itertools
import textwrap
from typing import Any, TypeVar

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.specs import renamed

# Nested lists of tensors.
Tensors = Any
_Class = TypeVar('_Class', bound=type)

_DTYPES = ('float32', 'float64')
# Package of the classes whose stored names may have been replaced.
_PACKAGE = 'tf_resflow'


def configured(cls: _Class) -> _Class:
  """Registers a layer class with Keras, with its arguments as configuration.

  `get_config` returns the named arguments, which a layer keeps in attributes of
  the same names, and the configuration of the base class. A class may define
  another one. `from_config` also restores layers among the arguments. The class
  is registered as `PACKAGE>NAME`, for its top-level package or module.
  """
  layer_class: Any = cls
  package = cls.__module__.partition('.')[0]
  _, *names = [
      name for name, parameter in inspect.signature(
          layer_class.__init__).parameters.items()
      if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]

  def get_config(self):
    return super(layer_class, self).get_config() | {
        name: keras.saving.serialize_keras_object(getattr(self, name))
        for name in names}

  def from_config(cls, config):
    # Not strings, which Keras would look up as names of objects.
    return cls(**{
        name: value if isinstance(value, str) else
        keras.saving.deserialize_keras_object(value)
        for name, value in renamed.present_arguments(
            cls.__name__ if package == _PACKAGE else '', config).items()})

  # An inherited constructor is described by the `get_config` of its class.
  owner = next(c for c in cls.__mro__ if '__init__' in vars(c))
  if 'get_config' not in {**vars(cls), **vars(owner)}:
    layer_class.get_config = get_config
  layer_class.from_config = classmethod(from_config)
  if package == _PACKAGE:
    for old in (o for o, new in renamed.CLASSES.items() if new == cls.__name__):
      keras.saving.register_keras_serializable(package, old)(_renamed(cls, old))
  return keras.saving.register_keras_serializable(package)(cls)


def _renamed(cls, old):
  """Returns the class of layers stored as `old`, until they have weights.

  Keras finds the weights of a layer in a list by the name of its class.
  """
  def from_config(old_class, config):
    renamed.present(renamed.CLASSES, old, 'class')
    layer = cls.from_config(config)
    layer.__class__ = old_class
    return layer

  def load_own_variables(layer, store):
    layer.__class__ = cls
    layer.load_own_variables(store)

  return type(old, (cls,), {
      'from_config': classmethod(from_config),
      'load_own_variables': load_own_variables})


def settings_repr(layer: keras.layers.Layer) -> str:
  """Returns the constructor call of a layer, without names and defaults."""
  settings = []
  for parameter in inspect.signature(type(layer).__init__).parameters.values():
    value = getattr(layer, parameter.name, parameter.default)
    if (parameter.kind is parameter.POSITIONAL_OR_KEYWORD and
        parameter.name not in ('self', 'name') and
        repr(value) != repr(parameter.default)):
      text = _call('', map(repr, value), '[]') if isinstance(
          value, list | tuple) else repr(value)
      settings.append(f'{parameter.name}={text}')
  return _call(type(layer).__name__, settings, '()')


def _call(name, arguments, brackets):
  """Returns `name(arguments)`, one per line if they are long."""
  arguments = list(arguments)
  text = ', '.join(arguments)
  if '\n' in text or len(text) > 60:
    text = textwrap.indent(',\n'.join(['', *arguments])[1:], '  ')
  return f'{name}{brackets[0]}{text}{brackets[1]}'


class BaseLayer(keras.layers.Layer):
  """A layer that computes in float32 or float64; by default it keeps shapes.

  Keyword arguments that a layer does not describe are those of
  `keras.layers.Layer`; the `dtype` of one that is made of others is theirs.

  Raises:
    InvalidValueError: for any other dtype.
  """

  def __init__(self, **kwargs):
    super().__init__(**kwargs)
    errors.check(
        self.compute_dtype in _DTYPES and self.variable_dtype in _DTYPES,
        'dtype', self.dtype_policy.name, ' or '.join(_DTYPES),
        'Norms and log-determinants need that precision.')

  __repr__ = settings_repr

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return tuple(input_shape)


class Composition(BaseLayer):
  """A layer composed of others, its `parts`.

  Setting `parts` makes Keras and `tf.train.Checkpoint` track them. They are
  built and applied one after another, unless `shapes` says otherwise.

  Args:
    parts: the layers; none if a subclass sets or defines `parts` itself.

  Raises:
    InvalidValueError: if the dtypes of the parts differ.
  """

  parts: Any

  def __init__(self, parts: Sequence[keras.layers.Layer] | None = None,
               **kwargs):
    if parts is not None:
      kwargs.setdefault('dtype', common_dtype(
          [part.compute_dtype for part in parts], 'a composition'))
    super().__init__(**kwargs)
    if parts is not None:
      self.parts = parts

  def __setattr__(self, name: str, value: Any) -> None:
    super().__setattr__(name, track(self, value) if name == 'parts' else value)

  def shapes(self, input_shape: tuple) -> Iterable[tuple]:
    """Returns the input shapes of all parts, then the output shape."""
    return itertools.accumulate(
        [input_shape, *self.parts],
        lambda shape, part: part.compute_output_shape(shape))

  def build(self, input_shape: tuple) -> None:
    for part, shape in zip(self.parts, self.shapes(input_shape), strict=False):
      build_once(part, shape)

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    *_, shape = self.shapes(input_shape)
    return tuple(shape)


def shifted_seed(seed: int | None, number: int) -> int | None:
  """Returns a seed for the `number`-th variable; None if `seed` is None."""
  return None if seed is None else seed + number


def uniform_initializers(fan_in: int, seed: int | None) -> dict:
  """Returns initializers U(+-1/sqrt(fan_in)) of kernel and bias, as PyTorch."""
  limit = fan_in**-0.5
  return {
      name: keras.initializers.RandomUniform(
          -limit, limit, seed=shifted_seed(seed, number))
      for number, name in enumerate(('kernel_initializer', 'bias_initializer'))}


def build_once(layer: keras.layers.Layer, input_shape: Sequence) -> None:
  """Builds a layer, unless it is built already."""
  if not layer.built:
    layer.build(tuple(input_shape))


def variables_named(
    name: str | None = None) -> contextlib.AbstractContextManager[None]:
  """Context in which names of new variables omit those of their layers.

  TensorFlow compiles a kernel for every new name: for the weights, moments and
  averages of a flow of CIFAR-10 size this takes a second and 0.1 GB.
  Checkpoints and SavedModels identify variables by their owners; the `path` of
  a Keras variable keeps the names of its layers.

  Args:
    name: a name for all of them; by default each has its own, such as `kernel`.
  """
  def create(next_creator, **arguments):
    # Graphs without eager execution tell variables apart by their names.
    if tf.executing_eagerly():
      # A slash ends a whole name, to which scopes add nothing.
      arguments['name'] = f'{name or arguments.get("name") or "variable"}/'
    return next_creator(**arguments)

  return tf.variable_creator_scope(create)


def call_with(layer: keras.layers.Layer, inputs: tf.Tensor,
              condition: Any) -> tf.Tensor:
  """Calls a layer, with the condition if it takes one."""
  return (layer(inputs, condition=condition) if layer.takes_condition
          else layer(inputs))


def check_batch(condition: tf.Tensor, x: tf.Tensor) -> None:
  """Raises `InvalidValueError` unless the batch is that of `x`, or 1."""
  given, size = condition.shape[0], x.shape[0]
  errors.check(
      given in (1, size) or None in (given, size), 'condition',
      f'a batch of {given}', f'one of {size}, as the inputs, or of 1 for all')


def as_batch(tensor: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
  """Broadcasts a function of the condition to the batch size of `x`."""
  check_batch(tensor, x)
  return tf.broadcast_to(tensor, tf.concat(
      [tf.shape(x)[:1], tensor.shape[1:]], axis=0))


def common_dtype(dtypes: Iterable[str], owner: str) -> str:
  """Returns the one dtype of the layers of `owner`; by default Keras's own."""
  dtypes = sorted(set(dtypes))
  errors.check(len(dtypes) < 2, 'dtype', ' and '.join(dtypes),
               f'the same for all layers of {owner}', 'Give them one dtype=.')
  return dtypes[0] if dtypes else keras.config.floatx()


def track(owner: keras.layers.Layer, parts: Sequence[keras.layers.Layer],
          ) -> list[keras.layers.Layer]:
  """Makes `tf.train.Checkpoint` track parts; returns them as a list.

  Keras tracks layers in lists for its own files only.
  """
  owner.tracked_parts = tf.Module(name='parts')
  for i, part in enumerate(parts):
    setattr(owner.tracked_parts, f'part_{i}', part)
  return list(parts)


def frozen_copy(layer: keras.layers.Layer) -> keras.layers.Layer:
  """Returns a copy of a built layer with its present weights, if it has any."""
  if not layer.variables:
    return layer
  copy = type(layer).from_config(layer.get_config())
  copy.build_from_config(layer.get_build_config())
  copy.set_weights(layer.get_weights())
  return copy
