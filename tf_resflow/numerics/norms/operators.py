"""The linear map of a dense or convolutional layer, on blocks of vectors."""

from collections.abc import Callable
import math
from typing import NamedTuple

import tensorflow as tf

from tf_resflow.numerics import convolution
from tf_resflow.numerics.norms import orders


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


class LayerOperator(NamedTuple):
  """The map `x -> x W` of a dense layer, or that of a convolution.

  A convolution (stride 1, zero padding 'SAME') has its real spatial size.
  `matvec` maps the smaller side to the larger one: the operator is the
  transpose of the layer if the layer has fewer outputs than inputs. The
  singular values are the same and the stored vectors are the shorter ones.

  Args:
    kernel: `[c_in, c_out]`, or `[k_h, k_w, c_in, c_out]` with
      `spatial_shape`.
    spatial_shape: `(H, W)` of a convolution, None for a dense layer.
    domain: order `p` of the norm of its inputs.
    codomain: order `q` of the norm of its outputs.
    for_cpu: see `convolution.conv2d`.
  """

  kernel: tf.Tensor
  spatial_shape: tuple[int, int] | None = None
  domain: orders.Order = 2.0
  codomain: orders.Order = 2.0
  for_cpu: bool | None = None

  @property
  def acts_on_channels(self) -> bool:
    """Whether the map is the same at every pixel, that of a 1 x 1 kernel."""
    return math.prod(self.kernel.shape[:-2]) == 1

  def at_one_pixel(self) -> 'LayerOperator':
    """Returns the map of channels of a 1 x 1 kernel; of others all of it."""
    return self._replace(
        kernel=tf.reshape(self.kernel, self.kernel.shape[-2:]),
        spatial_shape=None) if self.acts_on_channels else self

  def pixel_factor(self) -> float | tf.Tensor:
    """Returns the ratio of the norm over an image to that at one pixel.

    For a 1 x 1 kernel, whose operator has a block for each of `P` pixels:
    `|y_i|_q` is at most `|A| |x_i|_p` at every pixel, and over `P` numbers
    `|t|_q` is at most `P^max(0, 1/q - 1/p) |t|_p`, which equal blocks attain.
    For other kernels it is 1.
    """
    if self.spatial_shape is None or not self.acts_on_channels:
      return 1.0
    size = float(math.prod(self.spatial_shape))
    excess = 1.0 / self.codomain - 1.0 / self.domain
    if isinstance(excess, float):
      return size**max(excess, 0.0)
    return tf.pow(tf.constant(size, excess.dtype), tf.maximum(excess, 0.0))

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
