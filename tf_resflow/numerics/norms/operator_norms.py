"""Norms `|A|_p->q`, or bounds of them, that kernels are divided by."""

import math

import numpy as np
import tensorflow as tf

from tf_resflow.numerics.norms import certificates
from tf_resflow.numerics.norms import induced_bounds
from tf_resflow.numerics.norms import induced_power
from tf_resflow.numerics.norms import operators
from tf_resflow.numerics.norms import orders
from tf_resflow.numerics.norms import power_iteration

# Certificates are computed in float64, where this covers all rounding.
_MARGIN = 1.0 + 1e-9


class OperatorNorm:
  """A method that computes or bounds `|A|_p->q`, perhaps by an iteration.

  `A` is the operator of a layer whose kernel was divided by its largest entry,
  so that no square of it leaves the range of the dtype. A layer such as
  `SpectralDense` divides by its `operator_norm`; subclass it with another one
  for another constraint.

  Attributes:
    is_proven: whether the result is at least the norm, so that layers keep
      their bound; to a relative 1e-3 if it iterates.
    has_rows: whether it iterates vectors, which are kept from call to call.
    max_rows: largest number of vectors; None for that of the layer.

  Example:
    >>> class Frobenius(numerics.OperatorNorm):
    ...   has_rows = False  # There is nothing to iterate.
    ...   def norm(self, mapping, rows):
    ...     return tf.norm(mapping.kernel)
    >>> class FrobeniusDense(layers.SpectralDense):
    ...   operator_norm = Frobenius()
    >>> layer = FrobeniusDense(2, coeff=0.5)
    >>> y = layer(tf.ones([1, 3]))
    >>> bool(tf.norm(layer.normalized_kernel()) < 0.5001)
    True
  """

  is_proven = True
  has_rows = True
  max_rows: int | None = None

  def of_orders(
      self, domain: orders.Order | str, codomain: orders.Order | str,
  ) -> 'OperatorNorm':
    """Returns the method to use for given orders, exact if there is one."""
    if domain == codomain == 2.0:
      return SPECTRAL
    return CLOSED if induced_bounds.is_closed(domain, codomain) else self

  def row_size(self, mapping: operators.LayerOperator) -> int:
    """Returns the length of the vectors."""
    return mapping.at_one_pixel().size

  def converge(
      self, mapping: operators.LayerOperator, rows: tf.Tensor, tolerance: float,
      max_steps: int, min_steps: tf.Tensor,
      is_current: bool | tf.Tensor = False,
      random_rows: tf.Tensor | None = None, searches: bool | tf.Tensor = True,
  ) -> operators.ConvergedNorm:
    """Converges the vectors for the present kernel; not differentiable.

    `is_current` says that an earlier call returned them for this kernel. From
    `random_rows` a larger norm is searched, if `searches` says so.
    """
    raise NotImplementedError

  def norm(
      self, mapping: operators.LayerOperator, rows: tf.Tensor) -> tf.Tensor:
    """Returns the bound for converged vectors.

    Differentiable in the kernel and the orders.
    """
    raise NotImplementedError

  def certify(
      self, mapping: operators.LayerOperator, target: float,
  ) -> certificates.Certificate:
    """Returns a guaranteed upper bound of the norm of a kernel in float64."""
    spectral = certificates.certified_norm_bound(
        mapping.kernel.numpy(), mapping.spatial_shape)
    return certificates.Certificate(
        float(UPPER.bound(mapping, spectral.bound)) * _MARGIN,
        (f'interpolated_{spectral.methods[0]}',))


class _Closed(OperatorNorm):
  """Norms of columns (p = 1) or of rows (q = inf), one for each.

  Every column or row is divided by its own norm where that exceeds `coeff`: the
  bound holds all the same, and more of the kernel is kept.
  """

  has_rows = False

  def norm(self, mapping, rows):
    # Those of 1 x 1 kernels are the same at every pixel.
    return induced_bounds.closed_norms(mapping.at_one_pixel())

  def certify(self, mapping, target):
    return certificates.Certificate(
        float(tf.reduce_max(self.norm(mapping, None))) * _MARGIN,
        ('closed',))


class _Spectral(OperatorNorm):
  """`|A|_2->2` by power iteration."""

  def converge(self, mapping, rows, *args, **kwargs):
    return power_iteration.power_iteration(
        mapping.at_one_pixel(), rows, *args, **kwargs)

  def norm(self, mapping, rows):
    return power_iteration.spectral_norm(mapping.at_one_pixel(), rows)

  def certify(self, mapping, target):
    return certificates.certified_norm_bound(
        mapping.kernel.numpy(), mapping.spatial_shape, target)


class _Upper(_Spectral):
  """The smallest upper bound by rows, columns and the spectral norm."""

  def bound(self, mapping, spectral_norm):
    """Returns the bound, given the spectral norm."""
    return mapping.pixel_factor() * induced_bounds.upper_bound(
        mapping.at_one_pixel(), spectral_norm)

  def converge(self, mapping, rows, *args, **kwargs):
    result = super().converge(mapping, rows, *args, **kwargs)
    return result._replace(norm=self.bound(mapping, result.norm))

  def norm(self, mapping, rows):
    return self.bound(mapping, super().norm(mapping, rows))

  certify = OperatorNorm.certify


class _Estimate(OperatorNorm):
  """The largest `|A x|_q / |x|_p` that the nonlinear power method finds.

  The tolerance is that of the vectors, as with the power iteration: the
  quotient, flat at its maximum, is iterated to the square of it, or as far as
  the dtype goes.
  """

  is_proven = False

  def row_size(self, mapping):
    return mapping.at_one_pixel().num_inputs

  def converge(self, mapping, rows, tolerance, max_steps, min_steps,
               is_current=False, random_rows=None, searches=True):
    dtype = mapping.kernel.dtype
    gap = tf.maximum(orders.as_tensor(tolerance, dtype)**2,
                     100.0 * np.finfo(dtype.as_numpy_dtype).eps)
    result = induced_power.power_method(
        mapping.at_one_pixel(), rows, gap, max_steps, min_steps)
    return result._replace(norm=result.norm * self._pixel_factor(mapping))

  def norm(self, mapping, rows):
    return self._pixel_factor(mapping) * induced_power.induced_norm(
        mapping.at_one_pixel(), rows)

  def _pixel_factor(self, mapping):
    return mapping.pixel_factor()


class _Released(_Estimate):
  """The estimate of the authors' released code, which iterates one vector.

  For a 1 x 1 kernel it is the norm at one pixel, which is that over the image
  if `p <= q`, and smaller otherwise. Closed forms are those of orders 1, 2 and
  infinity.
  """

  max_rows = 1

  def of_orders(self, domain, codomain):
    is_known = {domain, codomain} <= {1.0, 2.0, math.inf}
    return super().of_orders(domain, codomain) if is_known else self

  def _pixel_factor(self, mapping):
    return 1.0


CLOSED, SPECTRAL, UPPER, ESTIMATE, RELEASED = (
    _Closed(), _Spectral(), _Upper(), _Estimate(), _Released())
