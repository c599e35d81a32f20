"""Norms of kernels and their bounds, compared with each other."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests.numerics.norms import induced_oracle
from tests.numerics.norms import kernels
from tf_resflow.numerics.norms import operator_norms
from tf_resflow.numerics.norms import operators

_KINDS = {
    'upper': operator_norms.UPPER, 'estimate': operator_norms.ESTIMATE}


def _followed(kind, mapping):
  rows = tf.random.stateless_normal(
      [8, kind.row_size(mapping)], [0, 0], dtype=tf.float64)
  rows, _ = tf.linalg.qr(tf.transpose(rows))
  return kind.converge(mapping, tf.transpose(rows), 1e-9, 2000, tf.constant(20))


@loops.each([
    ((3, 4), None, math.inf, 2), ((3, 4), None, 1.5, 3),
    ((3, 3, 2, 2), (3, 2), 1.5, 1.5), ((3, 3, 2, 2), (3, 2), 2, 1),
    ((1, 1, 3, 2), (3, 2), 3, 1.5), ((1, 1, 3, 2), (3, 2), 1.5, 3)])
def test_the_norm_lies_between_the_kinds(
    kernel_shape, spatial_shape, domain, codomain):
  """The differentiable norm has the converged value."""
  kernel = tf.constant(np.random.default_rng(0).normal(size=kernel_shape))
  # Of the whole operator: 1 x 1 kernels at every pixel, too.
  mapping = operators.LayerOperator(kernel, spatial_shape, domain, codomain)
  expected = induced_oracle.brute_force(
      kernels.matrix(mapping), domain, codomain, num_starts=100)
  found = {name: _followed(kind, mapping)
           for name, kind in _KINDS.items()}
  assert 0.8 * expected <= found['estimate'].norm <= expected * (1 + 1e-9)
  assert expected * (1 - 1e-9) <= found['upper'].norm <= 1.6 * expected
  for name, kind in _KINDS.items():
    np.testing.assert_allclose(
        kind.norm(mapping, found[name].rows), found[name].norm, rtol=1e-6)


@loops.each([
    (1, 3, 'CLOSED', 'RELEASED'), (3, math.inf, 'CLOSED', 'RELEASED'),
    (1, 2, 'CLOSED', 'CLOSED'), (math.inf, math.inf, 'CLOSED', 'CLOSED'),
    (2, 2, 'SPECTRAL', 'SPECTRAL'), (2, 3, 'UPPER', 'RELEASED')])
def test_kinds_of_orders(domain, codomain, ours, released):
  """The released code has fewer closed forms."""
  for norm, expected in (
      (operator_norms.UPPER, ours), (operator_norms.RELEASED, released)):
    assert norm.of_orders(domain, codomain) is getattr(operator_norms, expected)


@loops.each([
    (3, 1.5, 6**(1 / 3)), (1.5, 3, 1.0), (math.inf, 1, 6.0)])
def test_pixel_factor(domain, codomain, expected):
  mapping = operators.LayerOperator(
      tf.zeros([1, 1, 2, 2], tf.float64), (2, 3), domain, codomain)
  assert mapping.pixel_factor() == pytest.approx(expected)
  learned = mapping._replace(**{
      name: tf.constant(float(min(getattr(mapping, name), 1e9)), tf.float64)
      for name in ('domain', 'codomain')})
  assert float(learned.pixel_factor()) == pytest.approx(expected, rel=1e-6)
  assert mapping._replace(kernel=tf.zeros([3, 3, 2, 2])).pixel_factor() == 1.0
