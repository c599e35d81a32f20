"""Networks that conditions pass: any of Keras, of labels, of vectors."""

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
  """Maps conditions to the numbers `[B, K]` that enter a flow: encodes them.

  Kinds define `build` and `call`, and set two attributes.

  Attributes:
    condition_spec: what conditions are, a `layers.ConditionSpec`.
    size: `K`, numbers of an encoded condition.

  Example:
    >>> network = layers.LabelEmbedding(num_labels=10, size=4)
    >>> network(tf.constant([3, 1])).shape
    TensorShape([2, 4])
  """

  condition_spec: conditioning.ConditionSpec
  size: int

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return input_shape[0], self.size


@base_layer.configured
class KerasNetwork(ConditionNetwork):
  """Any Keras layer or model as a network of conditions.

  Args:
    layer: maps conditions `[B, ...]` to `[B, K]`, example by example.
    condition_shape: that of the condition of one example.
    **kwargs: of `keras.layers.Layer`; `dtype` is that of `layer`.

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
        layer, 'condition_network', 'It would not be trained, and its moving '
        'statistics not moved: remove that layer.')
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
    self.built = True

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return self.layer(inputs)


@base_layer.configured
class LabelEmbedding(ConditionNetwork):
  """One learned vector of numbers for every label; NaN for other numbers.

  Args:
    num_labels: labels are whole numbers from 0 to `num_labels - 1`.
    size: `K`, numbers of a vector, which begin standard normal.
    seed: Python int that makes these deterministic.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layers.LabelEmbedding(10, 4)(tf.constant([3, 1])).shape
    TensorShape([2, 4])
  """

  def __init__(self, num_labels: int, size: int, seed: int | None = None,
               **kwargs):
    super().__init__(**kwargs)
    errors.check(num_labels > 0, 'num_labels', num_labels, 'a number from 1')
    errors.check(size > 0, 'size', size, 'a number from 1')
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
  """A small dense network on vectors, standardised first.

  Its last activation is tanh: whatever the condition (up to 1e30, say, in
  float32), what enters the flow lies in [-1, 1], so that a condition far from
  all others shifts no hidden layer to where numbers lose their digits.

  Args:
    condition_size: numbers of a condition.
    size: `K`, numbers of what it returns.
    hidden_units: widths of the hidden layers, with SiLU.
    mean: what is subtracted from conditions, a number each; none by default.
    std: what they are divided by then.
    names: what the numbers are called, for messages.
    seed: Python int that makes the initial weights deterministic.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> network = layers.VectorNetwork(
    ...     2, size=4, hidden_units=(16,), mean=(5.0, 0.0), std=(2.0, 1.0))
    >>> network(tf.constant([[5.0, 1.0], [1e30, 0.0]])).shape
    TensorShape([2, 4])
  """

  def __init__(
      self, condition_size: int, size: int, hidden_units: Sequence[int] = (64,),
      mean: Sequence[float] = (), std: Sequence[float] = (),
      names: Sequence[str] = (), seed: int | None = None, **kwargs):
    super().__init__(**kwargs)
    for name, values in (('mean', mean), ('std', std), ('names', names)):
      errors.check(
          len(values) in (0, condition_size), name, list(values),
          f'{condition_size} of them, or none')
    errors.check(
        len(mean) == len(std) and all(s > 0 for s in std), 'std', list(std),
        'as many numbers as mean has, above 0')
    self.condition_size = condition_size
    self.size = size
    self.hidden_units = tuple(hidden_units)
    self.mean = tuple(mean)
    self.std = tuple(std)
    self.names = tuple(names)
    self.seed = seed
    self.condition_spec = conditioning.ConditionSpec(
        (condition_size,), names=self.names)

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
