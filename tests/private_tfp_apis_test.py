"""Fails where an upgrade of TFP changes what is used beyond public names."""

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import private_tfp_apis


class Drawn(tfb.Bijector):
  """A bijector whose values are drawn anew at every call."""

  def __init__(self):
    self.calls = []
    super().__init__(forward_min_event_ndims=0)

  def _answer(self, name, x):
    self.calls.append(name)
    return tf.identity(x)

  def _forward(self, x):
    return self._answer('forward', x)

  def _inverse(self, y):
    return self._answer('inverse', y)

  def _forward_log_det_jacobian(self, x):
    return self._answer('forward_log_det', x)

  def _inverse_log_det_jacobian(self, y):
    return self._answer('inverse_log_det', y)


def ask_twice(bijector):
  """Returns the methods that were called for one tensor and its image."""
  x = tf.ones([2])
  for _ in range(2):
    y = bijector.forward(x)
    bijector.inverse(y)
    bijector.forward_log_det_jacobian(x)
    bijector.inverse_log_det_jacobian(y)
  return bijector.calls


def test_without_a_cache_every_call_evaluates():

  class Uncached(Drawn):
    _cache = private_tfp_apis.NoCache()

  assert ask_twice(Uncached()) == 2 * [
      'forward', 'inverse', 'forward_log_det', 'inverse_log_det']
  # TFP's own cache remembers.
  assert len(ask_twice(Drawn())) < 8
