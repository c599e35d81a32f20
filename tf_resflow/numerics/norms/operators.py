"""The linear map of a dense or convolutional layer, on blocks of vectors."""

from collections.abc import Callable
import dataclasses
import math
from typing import NamedTuple

import tensorflow as tf

from tf_resflow.numerics import convolution


class ConvergedNorm(NamedTuple):
  """The result of an iteration for the norm of an operator.

  Attributes:
    rows: `[k, n]`, the converged vectors, best first, all of norm 1; the start
      of the next call.
    norm: scalar, the norm or a bound of it.
    num_steps: int32 scalar.
    residual: scalar, how far the first vector is from a critical point; the
      iteration ends when it meets the tolerance.
  """

  rows: tf.Tensor
  norm: tf.Tensor
  num_steps: tf.Tensor
  residual: tf.Tensor


@dataclasses.dataclass(frozen=True)
class LayerOperator:
  """The map `x -> x W` of a dense layer, or that of a convolution.

  A convolution (stride 1, zero padding 'SAME') has its real spatial size.
  `matvec` maps the smaller side to the larger one: the operator is the
  transpose of the layer if the layer has fewer outputs than inputs. The
  singular values are the same and the stored vectors are the shorter ones.

  Args:
    kernel: `[c_in, c_out]`, or `[k_h, k_w, c_in, c_out]` with
      `spatial_shape`.
    spatial_shape: `(H, W)` of a convolution, None for a dense layer.
    for_cpu: see `convolution.conv2d`.
  """

  kernel: tf.Tensor
  spatial_shape: tuple | None = None
  for_cpu: bool | None = None

  @property
  def _is_transposed(self):
    return self.kernel.shape[-1] < self.kernel.shape[-2]

  @property
  def size(self) -> int:
    """Size of the input vectors of `matvec`."""
    return min(self.num_inputs, self.num_outputs)

  @property
  def num_inputs(self) -> int:
    """Number of inputs of the layer, over all pixels."""
    return self._num_positions * self.kernel.shape[-2]

  @property
  def num_outputs(self) -> int:
    """Number of outputs of the layer, over all pixels."""
    return self._num_positions * self.kernel.shape[-1]

  @property
  def _num_positions(self):
    return math.prod(self.spatial_shape or ())

  def matvec(self, v: tf.Tensor) -> tf.Tensor:
    """Maps `[k, size]` to `[k, larger size]`."""
    return self.apply(v, transpose=self._is_transposed)

  def rmatvec(self, u: tf.Tensor) -> tf.Tensor:
    """Maps by the transpose of `matvec`."""
    return self.apply(u, transpose=not self._is_transposed)

  def normal_map(self) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns `v -> rmatvec(matvec(v))`, for use in a loop."""
    if self.spatial_shape is None:
      return lambda v: self.rmatvec(self.matvec(v))
    apply = convolution.normal_map(
        self.kernel, self._is_transposed, self.for_cpu)
    shape = [-1, *self.spatial_shape, min(self.kernel.shape[-2:])]
    return lambda v: tf.reshape(apply(tf.reshape(v, shape)), [-1, self.size])

  def apply(self, x: tf.Tensor, transpose: bool = False) -> tf.Tensor:
    """Maps `[k, num_inputs]` to `[k, num_outputs]`; the transpose back."""
    if self.spatial_shape is None:
      return tf.linalg.matmul(x, self.kernel, transpose_b=transpose)
    num_channels = self.kernel.shape[-1 if transpose else -2]
    images = tf.reshape(x, [-1, *self.spatial_shape, num_channels])
    apply = convolution.conv2d_transpose if transpose else convolution.conv2d
    return tf.reshape(apply(images, self.kernel, self.for_cpu),
                      [-1, self.num_inputs if transpose else self.num_outputs])
