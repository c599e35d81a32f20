"""Fast CPU convolutions between few and many channels, and their gradients.

A 3x3 convolution of many channels to few does little arithmetic for what it
reads, and TensorFlow's CPU kernels are slow at it. One matrix product with all
`k^2 c` taps, whose results are shifted and added, takes a third of the time, as
does the gradient of the kernel. The adjoint of a convolution of few channels to
many is such a map as well, so vector-Jacobian products gain as much.

Where a batch is divided among the cores (`parallel`), 1x1 convolutions are
matrix products, which takes some 5 % from a training step of 128 channels.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_resflow.numerics import parallel

# With more taps than this the plain kernel is about as fast. A 3x3 convolution
# to 4 channels has 36.
_MAX_TAPS = 40


def conv2d(
    x: tf.Tensor, kernel: tf.Tensor, for_cpu: bool | None = None) -> tf.Tensor:
  """Returns the stride-1 convolution with zero padding 'SAME'.

  Equal to `tf.nn.conv2d` up to rounding, and twice differentiable; faster on
  CPUs between many channels and few.

  Args:
    x: `[B, H, W, c_in]` with a static shape but for `B`.
    kernel: `[k_h, k_w, c_in, c_out]`, sizes odd.
    for_cpu: whether to use the method that is fast on CPUs; by default if there
      is no GPU.

  Returns:
    `[B, H, W, c_out]`.
  """
  if _is_for_cpu(for_cpu) and _is_narrow(kernel):
    return _narrow_conv2d(x, kernel)
  # Where operations have one thread, as in training; elsewhere TensorFlow may
  # fuse a convolution with what follows.
  if (_is_for_cpu(for_cpu) and tuple(kernel.shape[:2]) == (1, 1) and
      parallel.num_parallel() > 1):
    c_in, c_out = kernel.shape[2:]
    return tf.reshape(
        tf.matmul(tf.reshape(x, [-1, c_in]), tf.reshape(kernel, [c_in, c_out])),
        [-1, *x.shape[1:3], c_out])
  return tf.nn.conv2d(x, kernel, strides=1, padding='SAME')


def conv2d_transpose(
    y: tf.Tensor, kernel: tf.Tensor, for_cpu: bool | None = None) -> tf.Tensor:
  """Maps `[B, H, W, c_out]` to `[B, H, W, c_in]`, the adjoint of `conv2d`.

  Its arguments are those of `conv2d`.
  """
  if _is_for_cpu(for_cpu) and _is_narrow(kernel):
    return _narrow_transpose(y, kernel)
  size = y.shape[0]
  return tf.nn.conv2d_transpose(
      y, kernel, [tf.shape(y)[0] if size is None else size, *y.shape[1:3],
                  kernel.shape[2]], strides=1, padding='SAME')


def normal_map(kernel: tf.Tensor, transpose: bool = False,
               for_cpu: bool | None = None) -> Callable[[tf.Tensor], tf.Tensor]:
  """Returns the function `x -> A^T A x` of a convolution `A`, for loops.

  An entry of `A x` is a combination of the `k_h k_w c` numbers around it. On
  CPUs, where these are at most as many as the channels that `A` makes of them,
  such numbers are mapped by the Gram matrix of the kernel, and the channels are
  never computed: with 3 channels and 512 less than a twentieth of the
  arithmetic.

  The function takes images `[B, H, W, c]` of a static shape but for `B`, and is
  not meant to be differentiated.

  Args:
    kernel: see `conv2d`.
    transpose: whether `A` is the transpose of the convolution.
    for_cpu: see `conv2d`.
  """
  k_h, k_w, *channels = kernel.shape
  c_in, c_out = channels[::-1] if transpose else channels
  num_taps = k_h * k_w * c_in
  if not _is_for_cpu(for_cpu) or k_h * k_w == 1 or num_taps > c_out:
    there, back = (conv2d_transpose, conv2d) if transpose else (
        conv2d, conv2d_transpose)
    return lambda x: back(there(x, kernel, for_cpu), kernel, for_cpu)
  if transpose:
    kernel = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
  taps = tf.reshape(kernel, [num_taps, c_out])
  gram = tf.reshape(
      tf.matmul(taps, taps, transpose_b=True), [k_h, k_w, c_in, num_taps])
  return lambda x: _sum_of_shifts(
      tf.reshape(tf.nn.conv2d(x, gram, 1, 'SAME'), [-1, num_taps]),
      x.shape[1:3], (k_h, k_w), is_reversed=True)


def _is_for_cpu(for_cpu):
  return (not tf.config.list_logical_devices('GPU') if for_cpu is None
          else for_cpu)


@tf.custom_gradient
def _narrow_conv2d(x, kernel):
  k_h, k_w, c_in, c_out = kernel.shape
  if c_in > c_out:
    y = _sum_of_shifts(tf.matmul(
        tf.reshape(x, [-1, c_in]),
        tf.reshape(tf.transpose(kernel, [2, 0, 1, 3]), [c_in, -1])),
                       x.shape[1:3], (k_h, k_w))
  else:
    y = tf.nn.conv2d(x, kernel, strides=1, padding='SAME')

  def backward(dy):
    dy.set_shape(y.shape)  # Gradients of some operations forget it.
    return _narrow_transpose(dy, kernel), _kernel_gradient(x, dy, kernel.shape)

  return y, backward


@tf.custom_gradient
def _narrow_transpose(y, kernel):
  """Returns the transpose of `_narrow_conv2d` in its first argument."""
  k_h, k_w, c_in, c_out = kernel.shape
  if c_in > c_out:
    x = tf.ensure_shape(tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.concat([tf.shape(y)[:3], [c_in]], 0),
        filter=kernel, out_backprop=y, strides=[1, 1, 1, 1], padding='SAME'),
        y.shape[:3] + [c_in])
  else:
    # No entry of the kernel has to be moved for it.
    x = _sum_of_shifts(tf.matmul(
        tf.reshape(y, [-1, c_out]), tf.reshape(kernel, [-1, c_out]),
        transpose_b=True), y.shape[1:3], (k_h, k_w), is_reversed=True)

  def backward(dx):
    dx.set_shape(x.shape)
    return _narrow_conv2d(dx, kernel), _kernel_gradient(dx, y, kernel.shape)

  return x, backward


def _is_narrow(kernel):
  """Returns whether the kernel or its transpose maps many channels to few."""
  k_h, k_w, c_in, c_out = kernel.shape
  return k_h * k_w > 1 and k_h * k_w * min(c_in, c_out) <= min(
      _MAX_TAPS, max(c_in, c_out))


def _shifts(kernel_size, num_channels, is_reversed=False):
  """Returns the filter `[k_h, k_w, k_h k_w, c]` that shifts tap `n`.

  A depthwise convolution with it is one operation for all shifts, where slices
  would be dozens, which are slow to trace, to launch and to run.
  """
  shifts = np.eye(np.prod(kernel_size), dtype=np.float32)
  shifts = shifts[::-1] if is_reversed else shifts
  return np.repeat(shifts.reshape(*kernel_size, -1, 1), num_channels, axis=3)


def _sum_of_shifts(taps, image_size, kernel_size, is_reversed=False):
  """Sums the taps `[B H W, k_h k_w c]`, each shifted to its position."""
  num_taps = np.prod(kernel_size)
  num_channels = taps.shape[1] // num_taps
  shifted = tf.nn.depthwise_conv2d(
      tf.reshape(taps, [-1, *image_size, taps.shape[1]]),
      tf.constant(_shifts(kernel_size, num_channels, is_reversed).reshape(
          [*kernel_size, -1, 1]), taps.dtype), [1] * 4, 'SAME')
  return tf.reduce_sum(tf.reshape(
      shifted, [-1, *image_size, num_taps, num_channels]), axis=3)


def _kernel_gradient(x, dy, shape):
  """Returns the gradient of `<conv2d(x, kernel), dy>` in the kernel."""
  k_h, k_w, c_in, c_out = shape
  if c_in <= c_out:
    return tf.raw_ops.Conv2DBackpropFilter(
        input=x, filter_sizes=shape, out_backprop=dy, strides=[1, 1, 1, 1],
        padding='SAME')
  # Every entry of x meets the k_h k_w entries of dy that it contributed to.
  neighbours = tf.nn.depthwise_conv2d(
      dy, tf.constant(_shifts((k_h, k_w), c_out, is_reversed=True).swapaxes(
          2, 3), dy.dtype), [1] * 4, 'SAME')
  gradient = tf.matmul(
      tf.reshape(x, [-1, c_in]),
      tf.reshape(neighbours, [-1, c_out * k_h * k_w]), transpose_a=True)
  return tf.transpose(
      tf.reshape(gradient, [c_in, c_out, k_h, k_w]), [2, 3, 0, 1])
