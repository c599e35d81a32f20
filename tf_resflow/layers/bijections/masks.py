"""Masks of couplings, by channels or in a checkerboard pattern."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_resflow import errors


class Mask:
  """Two parts of events `[B, *event_shape]`: one passes, the rest changes.

  Args:
    event_shape: shape of one event.
    swap: whether the two parts swap roles.

  Attributes:
    network_shape: shape of the part that passes, as input of a network.
    output_shape: shape of the outputs of the network: a scale for every channel
      that changes, then as many shifts.

  Raises:
    InvalidValueError: if the mask does not apply to such events.
  """

  network_shape: tuple[int, ...]
  output_shape: tuple[int, ...]

  def __init__(self, event_shape: Sequence[int], swap: bool = False):
    self.event_shape = tuple(event_shape)
    self.swap = swap

  def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the part that passes, as input of a network, and the rest."""
    raise NotImplementedError

  def restrict(self, parameters: tf.Tensor) -> tf.Tensor:
    """Returns parameters of the rest, 0 where it contains the other part."""
    return parameters

  def join(self, passed: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
    """Returns the event of the two parts that `split` returned."""
    raise NotImplementedError


class Channel(Mask):
  """The first half of the channels (the last axis) passes; swapped, the second.

  If their number is odd, the first half is the smaller one.

  References:
    Dinh et al., 2017, Real NVP, Section 3.4.
  """

  def __init__(self, event_shape: Sequence[int], swap: bool = False):
    super().__init__(event_shape, swap)
    errors.check(bool(event_shape) and event_shape[-1] >= 2, 'event_shape',
                 self.event_shape, 'two channels or more, of which one half '
                 'passes')
    *shape, channels = self.event_shape
    self._sizes = [channels // 2, channels - channels // 2]
    passed, changed = self._in_order(*self._sizes)
    self.network_shape = (*shape, passed)
    self.output_shape = (*shape, 2 * changed)

  def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return self._in_order(*tf.split(x, self._sizes, axis=-1))

  def join(self, passed: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
    return tf.concat(self._in_order(passed, rest), axis=-1)

  def _in_order(self, first, second):
    return (second, first) if self.swap else (first, second)


class Checkerboard(Mask):
  """Pixels with even `i + j` pass, with all channels; swapped, with odd.

  The input of the network is the whole image with 0 in place of the others; the
  rest is the whole image, too.
  """

  def __init__(self, event_shape: Sequence[int], swap: bool = False):
    super().__init__(event_shape, swap)
    errors.check(len(self.event_shape) == 3, 'event_shape', self.event_shape,
                 'images [H, W, C]')
    height, width, channels = self.event_shape
    self.network_shape = self.event_shape
    self.output_shape = (height, width, 2 * channels)
    fields = np.add.outer(np.arange(height), np.arange(width)) + swap
    self._changes = (fields % 2)[..., np.newaxis]

  def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return x * tf.constant(1 - self._changes, x.dtype), x

  def restrict(self, parameters: tf.Tensor) -> tf.Tensor:
    return parameters * tf.constant(self._changes, parameters.dtype)

  def join(self, passed: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
    return rest
