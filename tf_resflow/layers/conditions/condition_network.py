"""Networks that encode conditions: Keras networks, of labels, of vectors."""

from collections.abc import Sequence
import itertools

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.conditions import conditioning
from tf_resflow.layers.lipschitz import keras_layer

_SEEDS_PER_LAYER = 4


class ConditionNetwork(base_layer.BaseLayer):
  """A network that encodes conditions as vectors `[B, K]` for a flow.

  Subclasses define `build` and `call`, and set two attributes.

  Attributes:
    condition_spec: the `layers.ConditionSpec` of its inputs.
    size: `K`, size of an encoded condition.
  """

  condition_spec: conditioning.ConditionSpec
  size: int

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return input_shape[0], self.size


@base_layer.configured
class KerasNetwork(ConditionNetwork):
  """A Keras layer or model as a condition network.

  Args:
    layer: maps conditions `[B, ...]` to `[B, K]`, example by example.
    condition_shape: shape of the condition of one example.

  Raises:
    InvalidValueError: if the layer returns another shape, or contains batch
      normalisation, dropout or the like.

  Example:
    >>> network = layers.KerasNetwork(keras.Sequential(
    ...     [keras.layers.Conv2D(8, 3), keras.layers.GlobalMaxPooling2D()]),
    ...     condition_shape=[6, 6, 1])
    >>> network(tf.zeros([2, 6, 6, 1])).shape
    TensorShape([2, 8])
  """

  def __init__(self, layer: keras.layers.Layer, condition_shape: Sequence[int],
               **kwargs):
    kwargs.setdefault('dtype', layer.compute_dtype)
    super().__init__(**kwargs)
    keras_layer.check_is_function(
        layer, 'condition_network', 'It would run in inference mode, and its '
        'moving statistics would not be updated. Remove it.')
    self.layer = layer
    self.condition_shape = tuple(condition_shape)
    self.condition_spec = conditioning.ConditionSpec(self.condition_shape)
    self.build((None, *self.condition_shape))

  def build(self, input_shape: tuple) -> None:
    base_layer.build_once(self.layer, input_shape)
    shape = tuple(self.layer.compute_output_spec(
        keras.KerasTensor(input_shape, dtype=self.compute_dtype)).shape)
    errors.check(
        len(shape) == 2 and shape[1] is not None, 'condition_network',
        self.layer.name, f'outputs [B, K] for conditions '
        f'{list(self.condition_shape)}, not {list(shape)}')
    self.size = shape[1]

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return self.layer(inputs)


@base_layer.configured
class LabelEmbedding(ConditionNetwork):
  """A learned vector for every label; NaN for numbers that are not labels.

  Args:
    num_labels: number of labels, integers from 0 to `num_labels - 1`.
    size: `K`, size of a vector, initially standard normal.
    seed: Python int that makes initial vectors deterministic.
  """

  def __init__(self, num_labels: int, size: int, seed: int | None = None,
               **kwargs):
    super().__init__(**kwargs)
    errors.check(num_labels > 0, 'num_labels', num_labels, 'a number >= 1')
    errors.check(size > 0, 'size', size, 'a number >= 1')
    self.num_labels = num_labels
    self.size = size
    self.seed = seed
    self.condition_spec = conditioning.ConditionSpec((), num_labels)

  def build(self, input_shape: tuple) -> None:
    self.vectors = self.add_weight(
        name='vectors', shape=(self.num_labels, self.size),
        initializer=keras.initializers.RandomNormal(stddev=1.0, seed=self.seed))

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    # Unlike that of tf.gather, the gradient of a product is a plain tensor.
    rows = tf.linalg.matmul(
        tf.one_hot(inputs, self.num_labels, dtype=self.compute_dtype),
        tf.convert_to_tensor(self.vectors.value))
    is_known = (inputs >= 0) & (inputs < self.num_labels)
    return tf.where(
        is_known[:, tf.newaxis], rows, tf.constant(float('nan'), rows.dtype))


@base_layer.configured
class VectorNetwork(ConditionNetwork):
  """A small dense network for vectors, which it first standardises.

  Its last activation is tanh, so that a condition far from all others (up to
  about 1e30 in float32) does not shift hidden layers of the flow out of the
  accurate range of floats.

  Args:
    condition_size: size of a condition.
    size: `K`, size of the outputs.
    hidden_units: widths of the hidden layers, with SiLU.
    mean: subtracted from conditions, one number per entry; none by default.
    std: standard deviations that conditions are then divided by.
    seed: Python int that makes the initial weights deterministic.

  Example:
    >>> network = layers.VectorNetwork(
    ...     2, size=4, hidden_units=(16,), mean=(5.0, 0.0), std=(2.0, 1.0))
    >>> network(tf.constant([[5.0, 1.0], [1e30, 0.0]])).shape
    TensorShape([2, 4])
  """

  def __init__(
      self, condition_size: int, size: int, hidden_units: Sequence[int] = (64,),
      mean: Sequence[float] = (), std: Sequence[float] = (),
      seed: int | None = None, **kwargs):
    super().__init__(**kwargs)
    errors.check(
        len(mean) == len(std) and len(std) in (0, condition_size) and
        all(s > 0 for s in std), 'std', list(std),
        f'{condition_size} numbers above 0, as many as mean has, or none')
    self.condition_size = condition_size
    self.size = size
    self.hidden_units = tuple(hidden_units)
    self.mean = tuple(mean)
    self.std = tuple(std)
    self.seed = seed
    self.condition_spec = conditioning.ConditionSpec((condition_size,))

  def build(self, input_shape: tuple) -> None:
    sizes = (self.condition_size, *self.hidden_units, self.size)
    self.network = keras.Sequential([
        keras.layers.Dense(
            units, 'silu' if i < len(self.hidden_units) else 'tanh',
            dtype=self.dtype_policy,
            **base_layer.uniform_initializers(
                fan_in, base_layer.shifted_seed(
                    self.seed, i * _SEEDS_PER_LAYER)))
        for i, (fan_in, units) in enumerate(itertools.pairwise(sizes))])
    self.network.build((None, self.condition_size))

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    if self.mean:
      inputs = (inputs - tf.constant(self.mean, inputs.dtype)) / tf.constant(
          self.std, inputs.dtype)
    return self.network(inputs)
