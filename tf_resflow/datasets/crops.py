"""Random crops: what lies around an image, and the part that is cut out.

A mode maps an image `[H, W, C]` and a number of pixels, less than `H` and `W`,
to the image with so many more on every side.
"""

import tensorflow as tf


def reflect(image: tf.Tensor, padding: int) -> tf.Tensor:
  """Mirrors the image at its edge pixels, which are not repeated.

  Args:
    image: `[H, W, C]`, of any type.
    padding: Number of pixels p on every side.

  Returns:
    `[H + 2 p, W + 2 p, C]`, as `np.pad(mode='reflect')` makes it.

  Example:
    >>> row = tf.reshape(tf.range(3 * 4), [3, 4, 1])
    >>> reflect(row, 2)[2, :, 0].numpy().tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
  """
  return tf.pad(image, _paddings(padding), 'REFLECT')


def constant(image: tf.Tensor, padding: int) -> tf.Tensor:
  """Surrounds the image by zeros, the lowest level; see `reflect`."""
  return tf.pad(image, _paddings(padding))


def _paddings(padding):
  return [[padding, padding], [padding, padding], [0, 0]]


def random_corner(padding: int, seed: tf.Tensor) -> tf.Tensor:
  """Draws where a crop of a padded image begins, every place equally likely.

  Args:
    padding: Number of pixels p on every side.
    seed: int64 `[2]`; the result is a function of it.

  Returns:
    int32 `[2]`, row and column in {0, ..., 2 p}.
  """
  return tf.random.stateless_uniform(
    [2], seed=seed, minval=0, maxval=2 * padding + 1, dtype=tf.int32,
    alg='philox')
