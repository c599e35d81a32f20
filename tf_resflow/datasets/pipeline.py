"""Deterministic tf.data pipelines for training and evaluation.

Random draws depend only on the seed and the index of the element, not on
earlier draws, threads or the number of replicas. So a stream can start at any
step, and a resumed run sees the same data as an uninterrupted one.
"""

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.datasets import dequantization
from tf_resflow.datasets import split as split_lib
from tf_resflow.specs import registries

# Larger data sets are streamed through a shuffle buffer of this size.
MAX_IN_MEMORY = 100_000

# Purposes of the streams of random numbers.
_ORDER, _FLIP, _NOISE, _EVALUATION_NOISE, _CROP, _DRAW = range(6)


def reflect(image: tf.Tensor, padding: int) -> tf.Tensor:
  """Pads an image by reflection at its edge pixels, which are not repeated.

  One of `registries.CROP_MODES`, the paddings of random crops: from `[H, W, C]`
  to `[H + 2 p, W + 2 p, C]`, `p` less than H and W, as `np.pad` does.

  Example:
    >>> row = tf.reshape(tf.range(3 * 4), [3, 4, 1])
    >>> reflect(row, 2)[2, :, 0].numpy().tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
  """
  return tf.pad(image, [[padding] * 2, [padding] * 2, [0, 0]], 'REFLECT')


def constant(image: tf.Tensor, padding: int) -> tf.Tensor:
  """Pads an image by zeros, the lowest level; see `reflect`."""
  return tf.pad(image, [[padding] * 2, [padding] * 2, [0, 0]])


def training_batches(
    split: split_lib.Split, *, batch_size: int, seed: int, start_step: int = 0,
    flip: bool = False, crop_padding: int = 0, crop_mode: str = 'reflect',
    max_in_memory: int = MAX_IN_MEMORY,
    share: tuple[int, int] | None = None) -> tf.data.Dataset:
  """Returns an endless dataset of batches, with integers dequantised.

  Element `i = step * batch_size + position` belongs to epoch
  `e = i // num_examples`. The order within an epoch is a permutation drawn
  from (seed, e), so that an epoch has each example once and batches run across
  its end; crop, flip and noise are drawn from (seed, i). Hence the dataset from
  `start_step` equals, bit for bit, that from 0 after `start_step` batches.

  Up to `max_in_memory` examples are decoded once and cached, and all orders are
  equally likely. Larger data sets are read through a shuffle buffer of
  `max_in_memory` examples: still each once per epoch as a function of
  (seed, e), but neighbours on disk stay closer than chance. Starting at a step
  then reads the earlier part of its epoch, never earlier epochs.

  If examples are drawn (`Split.draw_fn`), element `i` is a new one, drawn from
  (seed, i).

  Args:
    split: the part to train on.
    batch_size: examples per batch over all replicas, B.
    start_step: number of batches to skip.
    flip: whether to flip each image horizontally with probability 1/2.
    crop_padding: number of pixels p, less than H and W, to pad each side of an
      image by before a random crop to `[H, W, C]`, with all (2 p + 1)^2
      positions equally likely; then comes the flip.
    crop_mode: padding of the integer pixels, one of `registries.CROP_MODES`.
    share: which of equal runs of rows of a batch are wanted, as (index, number
      of runs); by default all. Only these are decoded.

  Returns:
    `tf.data.Dataset` of dicts: `x` float32 `[B, ...]`, images in [0, 1) or
    vectors; `label` int32 `[B]`; `condition` `[B, ...]` for conditional data.

  Raises:
    InvalidValueError: if `crop_mode` is unknown.

  Example:
    >>> from tf_resflow import datasets
    >>> train = datasets.open_split('digits', 'train', data_dir='data')
    >>> next(iter(training_batches(train, batch_size=64, seed=0)))['x'].shape
    TensorShape([64, 8, 8, 1])
  """
  pad_fn = registries.CROP_MODES.get(crop_mode)
  first = start_step * batch_size
  crop_key, flip_key, noise_key, draw_key = (
      _key(seed, purpose) for purpose in (_CROP, _FLIP, _NOISE, _DRAW))
  share = share or (0, 1)
  indices = tf.data.Dataset.range(first, tf.int64.max)
  if split.draw_fn is not None:
    return _batches(
        indices, lambda index: split_lib.drawn(
            split.draw_fn, tf.stack([draw_key, index]), split.event_shape),
        batch_size, share)
  arrays = split.arrays if split.num_examples <= max_in_memory else None

  def finish(index, example):
    if arrays is not None:
      example = {key: value[example] for key, value in arrays.items()}
    x = example['x']
    if crop_padding:
      x = _cropped(x, pad_fn, crop_padding, crop_key, index)
    if flip:
      heads = _uniform([], flip_key, index) < 0.5
      x = tf.where(heads, tf.reverse(x, axis=[1]), x)
    return {**example, 'x': _continuous(x, split, noise_key, index)}

  epochs = _epochs(split, _key(seed, _ORDER), first, max_in_memory)
  return _batches(
      tf.data.Dataset.zip((indices, epochs)), finish, batch_size, share)


def _cropped(image, pad_fn, padding, key, index):
  """Returns an image of equal size from a random place of the padded image."""
  corner = _uniform(
      [2], key, index, minval=0, maxval=2 * padding + 1, dtype=tf.int32)
  return tf.slice(
      pad_fn(image, padding), tf.concat([corner, [0]], axis=0), image.shape)


def _epochs(split, order_key, first, max_in_memory):
  """Returns examples of endless epochs from element `first` on.

  They are positions where the examples are kept in memory.
  """
  num_examples = split.num_examples
  first_epoch, num_skipped = divmod(first, num_examples)

  def positions(epoch):
    # Full-range integers: ties are rare, and broken by a stable sort.
    return tf.data.Dataset.from_tensor_slices(
        tf.argsort(_integers([num_examples], order_key, epoch), stable=True))

  def streamed(epoch):
    if not tf.executing_eagerly():
      # Dataset.shuffle also uses the seed of the graph, by default the global
      # one. (0 would make TensorFlow compare the symbolic seed below.)
      tf.random.set_seed(1)
    return split.examples.shuffle(
        max_in_memory, seed=_key(order_key, epoch),
        reshuffle_each_iteration=False)

  return tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(
      tf.autograph.experimental.do_not_convert(
          positions if num_examples <= max_in_memory else streamed)
  ).skip(num_skipped)


def evaluation_batches(
    split: split_lib.Split, *, batch_size: int, seed: int,
    num_examples: int | None = None) -> tf.data.Dataset:
  """Returns a dataset of batches in order, with integers dequantised.

  The noise of an example is drawn from (seed, its index), so results do not
  depend on the batch size.

  Args:
    split: the part to evaluate.
    batch_size: examples per batch B; the last batch may be smaller.
    seed: seed of the noise.
    num_examples: number of examples, from the first; by default all.

  Returns:
    Dicts as those of `training_batches`, and with `index` int64 `[B]`, the
    position in the split.

  Raises:
    InvalidValueError: if `num_examples` is out of range.
  """
  num_examples = split.num_examples if num_examples is None else num_examples
  errors.check(
      1 <= num_examples <= split.num_examples, 'num_examples', num_examples,
      f'an integer in [1, {split.num_examples}], the size of the split')
  noise_key = _key(seed, _EVALUATION_NOISE)
  examples = (
      tf.data.Dataset.from_tensor_slices(split.arrays)
      if split.num_examples <= MAX_IN_MEMORY else split.examples)

  def finish(index, example):
    return {
        **example, 'x': _continuous(example['x'], split, noise_key, index),
        'index': index}

  return _batches(examples.take(num_examples).enumerate(), finish, batch_size)


def _continuous(x, split, noise_key, index):
  """Returns an example as floats, dequantised if it has integers."""
  return dequantization.dequantize(
      x, _uniform(split.event_shape, noise_key, index), split.num_levels
  ) if split.is_image else x


def _batches(elements, finish, batch_size, share=None):
  """Maps `finish` over elements in parallel and in order, and batches them.

  With a share elements are endless, and only its rows of batches are returned.
  """
  index, num_shares = share or (0, 1)
  size = batch_size // num_shares
  if num_shares > 1:
    elements = elements.filter(tf.autograph.experimental.do_not_convert(
        lambda i, *unused: i % batch_size // size == index))
  batches = split_lib.mapped(elements, finish).batch(
      size, drop_remainder=share is not None)
  options = tf.data.Options()
  options.deterministic = True
  # Processes read their own rows already.
  options.experimental_distribute.auto_shard_policy = (
      tf.data.experimental.AutoShardPolicy.OFF)
  return batches.with_options(options).prefetch(tf.data.AUTOTUNE)


def _key(seed, purpose):
  """Returns an int64 scalar key, a hash of two integers."""
  # On the CPU, like tf.data.
  with tf.device('/CPU:0'):
    return _integers([], tf.cast(seed, tf.int64), tf.cast(purpose, tf.int64))


def _integers(shape, key, index):
  """Returns uniform int64 of the full range, drawn from (key, index)."""
  return _uniform(
      shape, key, index, minval=None, maxval=None, dtype=tf.int64)


def _uniform(shape, key, index, **options):
  """Returns uniform draws from (key, index), by default float32 in [0, 1)."""
  return tf.random.stateless_uniform(
      shape, seed=tf.stack([key, index]), alg='philox', **options)
