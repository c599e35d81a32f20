"""By what a kernel is divided: norms `|A|_p->q` and bounds of them."""

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow import numerics
from tf_resflow.numerics.norms import certificates
from tf_resflow.numerics.norms import induced_bounds
from tf_resflow.numerics.norms import induced_power
from tf_resflow.numerics.norms import orders
from tf_resflow.numerics.norms import power_iteration

# Certificates are computed in float64, where this covers all rounding.
_MARGIN = 1.0 + 1e-9


class Followed(NamedTuple):
  """What an iteration found for a kernel.

  Attributes:
    rows: `[k, size]`, the vectors that it converged, best first.
    norm: what the kernel is divided by, where it exceeds `coeff`.
    num_steps: int32 scalar.
  """

  rows: tf.Tensor
  norm: tf.Tensor
  num_steps: tf.Tensor


def make_operator(
    kernel: tf.Tensor, spatial_shape: tuple[int, int] | None,
    for_cpu: bool | None = None) -> numerics.LayerOperator:
  """Returns the linear map of a kernel; 1 x 1 kernels act on channels.

  Args:
    kernel: `[in, out]` or `[kh, kw, in, out]`.
    spatial_shape: `(H, W)` of a convolution.
    for_cpu: see `convolution.conv2d`.
  """
  if math.prod(kernel.shape[:-2]) == 1:
    return numerics.LayerOperator(tf.reshape(kernel, kernel.shape[-2:]))
  return numerics.LayerOperator(kernel, spatial_shape, for_cpu)


def pixel_factor(
    kernel: tf.Tensor, spatial_shape: tuple[int, int] | None,
    domain: orders.Order, codomain: orders.Order) -> float | tf.Tensor:
  """Returns how much larger the norm is over an image than at one pixel.

  Of a 1 x 1 kernel, whose operator is a block for each of `P` pixels:
  `|y_i|_q` is at most `|A| |x_i|_p` at every pixel, and over `P` numbers
  `|t|_q` is at most `P^max(0, 1/q - 1/p) |t|_p`, which equal blocks attain. It
  is 1 of other kernels.

  Args:
    kernel: `[in, out]` or `[kh, kw, in, out]`.
    spatial_shape: `(H, W)` of a convolution.
    domain: `p`.
    codomain: `q`.
  """
  if spatial_shape is None or math.prod(kernel.shape[:-2]) != 1:
    return 1.0
  excess = 1.0 / codomain - 1.0 / domain
  if tf.is_tensor(excess):
    return tf.pow(tf.constant(float(math.prod(spatial_shape)), excess.dtype),
                  tf.maximum(excess, 0.0))
  return math.prod(spatial_shape)**max(excess, 0.0)


class OperatorNorm:
  """What `|A|_p->q` is bounded by, and the vectors by which that is found.

  `A` is the operator of a layer whose kernel was divided by its largest entry,
  so that no square of it leaves the range of the dtype.

  Attributes:
    is_proven: whether it is at least the norm: a layer that divides by it keeps
      its bound, to a relative 1e-3 where it iterates.
    has_rows: whether there are vectors to follow from call to call.
    max_rows: the most of them; None for as many as layers ask for.
  """

  is_proven = True
  has_rows = True
  max_rows: int | None = None

  def of_orders(
      self, domain: orders.Order | str, codomain: orders.Order | str,
  ) -> 'OperatorNorm':
    """Returns what is used of given orders: the norm itself, if it is known."""
    if domain == codomain == 2.0:
      return SPECTRAL
    return CLOSED if self._knows_closed(domain, codomain) else self

  def _knows_closed(self, domain, codomain):
    return induced_bounds.is_closed(domain, codomain)

  def row_size(
      self, kernel: Any, spatial_shape: tuple[int, int] | None) -> int:
    """Returns the length of the vectors."""
    return make_operator(kernel, spatial_shape).size

  def follow(
      self, kernel: tf.Tensor, rows: tf.Tensor,
      spatial_shape: tuple[int, int] | None, domain: orders.Order,
      codomain: orders.Order, tolerance: float, max_steps: int,
      min_steps: tf.Tensor, is_current: bool | tf.Tensor = False,
      for_cpu: bool | None = None) -> Followed:
    """Converges the vectors for the present kernel; not differentiated.

    `is_current` says that they are what an earlier call returned for it;
    `for_cpu`, see `convolution.conv2d`.
    """
    raise NotImplementedError

  def norm(
      self, kernel: tf.Tensor, rows: tf.Tensor,
      spatial_shape: tuple[int, int] | None, domain: orders.Order,
      codomain: orders.Order, for_cpu: bool | None = None) -> tf.Tensor:
    """Returns the bound for converged vectors.

    Differentiable in the kernel and the orders.
    """
    raise NotImplementedError

  def certify(
      self, kernel: np.ndarray, spatial_shape: tuple[int, int] | None,
      domain: float, codomain: float, target: float,
  ) -> certificates.Certificate:
    """Returns a guaranteed upper bound of the norm of a kernel."""
    kernel = np.asarray(kernel, np.float64)
    spectral = certificates.certified_norm_bound(kernel, spatial_shape)
    bound = UPPER.bound(
        tf.constant(kernel), spatial_shape, domain, codomain, spectral.bound)
    return certificates.Certificate(
        float(bound) * _MARGIN, f'interpolated_{spectral.method}')


class _Closed(OperatorNorm):
  """Norms of columns (p = 1) or of rows (q = inf), each for itself.

  Every column or row is divided by its own norm where that exceeds `coeff`: the
  bound holds all the same, and more of the kernel is kept.
  """

  has_rows = False

  def norm(self, kernel, rows, spatial_shape, domain, codomain, for_cpu=None):
    # Those of 1 x 1 kernels are the same at every pixel.
    return induced_bounds.closed_norms(
        make_operator(kernel, spatial_shape), domain, codomain)

  def certify(self, kernel, spatial_shape, domain, codomain, target):
    norms = self.norm(tf.constant(np.asarray(kernel, np.float64)), None,
                      spatial_shape, domain, codomain)
    return certificates.Certificate(
        float(tf.reduce_max(norms)) * _MARGIN, 'closed')


class _Spectral(OperatorNorm):
  """`|A|_2->2` by power iteration."""

  def follow(self, kernel, rows, spatial_shape, domain, codomain, tolerance,
             max_steps, min_steps, is_current=False, for_cpu=None):
    result = power_iteration.power_iteration(
        make_operator(kernel, spatial_shape, for_cpu), rows, tolerance,
        max_steps, min_steps, is_current)
    return Followed(result.v, result.sigma, result.num_steps)

  def norm(self, kernel, rows, spatial_shape, domain, codomain, for_cpu=None):
    return power_iteration.spectral_norm(
        make_operator(kernel, spatial_shape, for_cpu), rows)

  def certify(self, kernel, spatial_shape, domain, codomain, target):
    return certificates.certified_norm_bound(kernel, spatial_shape, target)


class _Upper(_Spectral):
  """The smallest of the upper bounds that follow from rows, columns, `|A|_2`.
  """

  def bound(self, kernel, spatial_shape, domain, codomain, spectral_norm):
    """Returns it for a spectral norm that is given."""
    return pixel_factor(
        kernel, spatial_shape, domain, codomain) * induced_bounds.upper_bound(
            make_operator(kernel, spatial_shape), domain, codomain,
            spectral_norm)

  def follow(self, kernel, rows, spatial_shape, domain, codomain, *settings):
    result = super().follow(
        kernel, rows, spatial_shape, domain, codomain, *settings)
    return result._replace(norm=self.bound(
        kernel, spatial_shape, domain, codomain, result.norm))

  def norm(self, kernel, rows, spatial_shape, domain, codomain, for_cpu=None):
    return self.bound(
        kernel, spatial_shape, domain, codomain, super().norm(
            kernel, rows, spatial_shape, domain, codomain, for_cpu))

  certify = OperatorNorm.certify


class _Estimate(OperatorNorm):
  """The largest `|A x|_q / |x|_p` that the nonlinear power method finds.

  The tolerance is that of the vectors, as with the power iteration: the
  quotient, flat at its maximum, is iterated to the square of it, or as far as
  the dtype goes.
  """

  is_proven = False

  def row_size(self, kernel, spatial_shape):
    return make_operator(kernel, spatial_shape).num_inputs

  def follow(self, kernel, rows, spatial_shape, domain, codomain, tolerance,
             max_steps, min_steps, is_current=False, for_cpu=None):
    rounding = 100.0 * np.finfo(kernel.dtype.as_numpy_dtype).eps
    gap = tf.maximum(
        orders.as_tensor(tolerance, kernel.dtype)**2, rounding)
    result = induced_power.power_method(
        make_operator(kernel, spatial_shape, for_cpu), rows, domain, codomain,
        gap, max_steps, min_steps)
    return Followed(result.x, result.norm * self._pixel_factor(
        kernel, spatial_shape, domain, codomain), result.num_steps)

  def norm(self, kernel, rows, spatial_shape, domain, codomain, for_cpu=None):
    return self._pixel_factor(
        kernel, spatial_shape, domain, codomain) * induced_power.induced_norm(
            make_operator(kernel, spatial_shape, for_cpu), rows, domain,
            codomain)

  def _pixel_factor(self, *args):
    return pixel_factor(*args)


class _Released(_Estimate):
  """What the released code divides by: one vector is followed.

  Of a 1 x 1 kernel it is the norm at one pixel, which is that over the image
  where `p <= q`, and below it elsewhere. Closed forms are those of orders 1, 2
  and infinity.
  """

  max_rows = 1

  def _knows_closed(self, domain, codomain):
    return super()._knows_closed(domain, codomain) and {
        domain, codomain} <= {1.0, 2.0, math.inf}

  def _pixel_factor(self, *unused_args):
    return 1.0


CLOSED, SPECTRAL, UPPER, ESTIMATE, RELEASED = (
    _Closed(), _Spectral(), _Upper(), _Estimate(), _Released())
