"""Opened parts of data sets."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import Any, Self

import numpy as np
import tensorflow as tf

from tf_resflow import errors


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
  """One part of a data set, in a fixed order.

  Attributes:
    examples: `tf.data.Dataset` of dicts: `x`, uint8 `[H, W, C]` with values
      0..num_levels-1, or floats `[D]`; `label` int32 `[]`, -1 for data without
      labels; `condition`, int32 `[]` or float32 `[K]`, only for conditional
      models; `weight`, float32 `[]`, only for weighted data.
    num_examples: number of examples.
    event_shape: shape of `x`.
    num_levels: number of integer levels n of images; None for vectors.
    num_condition_labels: number of labels if conditions are labels, else 0.
    draw_fn: draws an `x` for training from an int64 `[2]`, a key and the index
      of the example; None if training uses `examples`.
  """

  examples: tf.data.Dataset
  num_examples: int
  event_shape: tuple[int, ...]
  num_levels: int | None = None
  draw_fn: Callable[[tf.Tensor], tf.Tensor] | None = None
  num_condition_labels: int = 0

  @classmethod
  def of_arrays(
      cls, arrays: Mapping[str, np.ndarray], num_levels: int | None = None,
  ) -> Self:
    """Returns given examples as a part, by the keys of `examples`."""
    x = arrays['x']
    return cls(tf.data.Dataset.from_tensor_slices(arrays), len(x), x.shape[1:],
               num_levels)

  @functools.cached_property
  def arrays(self) -> dict[str, tf.Tensor]:
    """All examples in host memory: `x` `[N, ...]` and `label` `[N]`.

    Read on first use and cached; for data sets that fit (CIFAR-10 takes 154
    MB).
    """
    # init_scope: eager tensors, even within a tf.function.
    with tf.init_scope(), tf.device('/CPU:0'):
      return self.examples.batch(self.num_examples).get_single_element()

  @property
  def is_image(self) -> bool:
    """Whether examples are images of integers, not vectors."""
    return self.num_levels is not None

  @property
  def is_conditional(self) -> bool:
    """Whether examples have conditions."""
    return 'condition' in self.examples.element_spec

  @functools.cached_property
  def weights(self) -> np.ndarray | None:
    """Weights of the examples in means, float64 `[N]`; None if all are equal.
    """
    if 'weight' not in self.examples.element_spec:
      return None
    return np.float64(self.arrays['weight'])

  def chosen(self, count: int) -> np.ndarray:
    """Returns indices of at most `count` examples in a fixed random order.

    Those of weighted data are drawn by their weights, with replacement.
    """
    rng, size = np.random.default_rng(0), self.num_examples
    if self.weights is None:
      return rng.permutation(size)[:count]
    return rng.choice(
        size, min(size, count), p=self.weights / self.weights.sum())

  def examples_at(self, positions: Sequence[int]) -> dict[str, np.ndarray]:
    """Returns examples by index; reads the part up to the last of them.

    Returns:
      Arrays by the keys of `examples`, such as `x` `[len(positions), ...]`, in
      the given order.

    Raises:
      InvalidValueError: if an index is out of range.
    """
    for position in positions:
      errors.check(
          0 <= position < self.num_examples, 'position', position,
          f'an index in [0, {self.num_examples - 1}]')
    found = {
        i: row for i, row in enumerate(self.examples.take(max(positions) + 1))
        if i in positions}
    return {
        key: np.stack([found[i][key].numpy() for i in positions])
        for key in self.examples.element_spec}


def mapped(
    examples: tf.data.Dataset, function: Callable[..., Any]) -> tf.data.Dataset:
  """Returns what a function makes of examples, in parallel and in order."""
  return examples.map(
      # AutoGraph has nothing to convert, and takes time.
      tf.autograph.experimental.do_not_convert(function),
      num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def drawn(draw_fn: Callable[[tf.Tensor], tf.Tensor], key: tf.Tensor,
          event_shape: Sequence[int]) -> dict[str, tf.Tensor]:
  """Returns the example of a key, int64 `[2]`; see `Split.draw_fn`."""
  return {'x': tf.ensure_shape(draw_fn(key), event_shape),
          'label': tf.constant(-1, tf.int32)}


def some_conditions(split: Split, num_examples: int) -> tf.Tensor | None:
  """Returns conditions of samples, `[num_examples, ...]`, or None without any.

  These cycle through the labels, or through the conditions of the first
  examples.
  """
  if not split.is_conditional:
    return None
  if split.num_condition_labels:
    return tf.range(num_examples) % split.num_condition_labels
  first = first_conditions(split, min(num_examples, split.num_examples))
  return tf.constant(np.resize(first, [num_examples, *first.shape[1:]]))


def first_conditions(split: Split, num_examples: int) -> np.ndarray:
  """Returns conditions of the first examples, `[num_examples, ...]`."""
  conditions = split.examples.take(num_examples).map(
      lambda example: example['condition'])
  return conditions.batch(num_examples).get_single_element().numpy()
