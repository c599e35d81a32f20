"""The linear map of a dense or convolutional layer, on blocks of vectors."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class LayerOperator:
  """The map `x -> x W` of a dense layer, or that of a convolution.

  A convolution (stride 1, zero padding 'SAME') is taken at its real spatial
  size. `matvec` maps the smaller side to the larger one: the operator is the
  transpose of the layer when the layer has fewer outputs than inputs. The
  singular values are the same and the vectors to store are the short ones.

  Args:
    kernel: `[c_in, c_out]`, or `[k_h, k_w, c_in, c_out]` with
      `spatial_shape`.
    spatial_shape: `(H, W)` of a convolution, None for a dense layer.
  """

  kernel: tf.Tensor
  spatial_shape: tuple | None = None

  @property
  def _is_transposed(self):
    return self.kernel.shape[-1] < self.kernel.shape[-2]

  @property
  def size(self) -> int:
    """Length of the vectors that `matvec` takes."""
    height, width = self.spatial_shape or (1, 1)
    return height * width * min(self.kernel.shape[-2:])

  def matvec(self, v: tf.Tensor) -> tf.Tensor:
    """Maps `[k, size]` to `[k, larger size]`."""
    return self._apply(v, transpose=self._is_transposed)

  def rmatvec(self, u: tf.Tensor) -> tf.Tensor:
    """The transpose of `matvec`."""
    return self._apply(u, transpose=not self._is_transposed)

  def _apply(self, x, transpose):
    if self.spatial_shape is None:
      return tf.linalg.matmul(x, self.kernel, transpose_b=transpose)
    shape = [tf.shape(x)[0], *self.spatial_shape]
    c_in, c_out = self.kernel.shape[-2:]
    images = tf.reshape(x, [*shape, c_out if transpose else c_in])
    y = tf.nn.conv2d_transpose(
        images, self.kernel, [*shape, c_in], strides=1, padding='SAME'
    ) if transpose else tf.nn.conv2d(
        images, self.kernel, strides=1, padding='SAME')
    return tf.reshape(y, [shape[0], -1])
