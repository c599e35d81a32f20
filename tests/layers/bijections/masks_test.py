"""Masks: which half is which, against indices."""

import numpy as np
import tensorflow as tf

from tests import loops
from tests import testing
from tf_resflow.layers.bijections import masks


def event(*shape):
  """Numbers from 1, so that a zero was put there."""
  return np.arange(1.0, 1 + np.prod(shape)).reshape([1, *shape])


@loops.each([([2, 3, 4],), ([2, 5],)], [False, True])
def test_channels(shape, swap):
  x = event(*shape)
  mask = masks.Channel(tuple(shape), swap)
  first, second = (x[..., 2:], x[..., :2]) if swap else (x[..., :2], x[..., 2:])
  passed, rest = mask.split(tf.constant(x))
  np.testing.assert_array_equal(passed, first)
  np.testing.assert_array_equal(rest, second)
  np.testing.assert_array_equal(mask.join(passed, rest), x)
  np.testing.assert_array_equal(mask.restrict(rest), rest)
  assert mask.network_shape == first.shape[1:]
  assert mask.output_shape == (*shape[:-1], 2 * second.shape[-1])


@loops.each([False, True])
def test_checkerboards(swap):
  x = event(3, 4, 2)
  mask = masks.Checkerboard((3, 4, 2), swap)
  passed, rest = mask.split(tf.constant(x))
  for i in range(3):
    for j in range(4):
      passes = (i + j) % 2 == swap
      np.testing.assert_array_equal(passed[0, i, j], passes * x[0, i, j])
      np.testing.assert_array_equal(
          mask.restrict(rest)[0, i, j], (not passes) * x[0, i, j])
  np.testing.assert_array_equal(mask.join(passed, rest), x)
  assert (mask.network_shape, mask.output_shape) == ((3, 4, 2), (3, 4, 4))


@loops.each([
    (masks.Channel, (2, 2, 1), 'event_shape=(2, 2, 1): expected two channels'),
    (masks.Channel, (1,), 'event_shape=(1,): expected two channels or more'),
    (masks.Channel, (), 'event_shape=(): expected two channels or more'),
    (masks.Checkerboard, (4,), 'event_shape=(4,): expected images [H, W, C].')])
def test_events_without_two_parts(kind, shape, message):
  testing.check_refusal(kind, {'event_shape': shape}, message)
