"""Fails where an upgrade of TFP changes what is used beyond public names."""

from unittest import mock

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import private_tfp_apis

_METHODS = ('forward', 'inverse', 'forward_log_det_jacobian',
            'inverse_log_det_jacobian')


def ask_twice(bijector_class):
  """Returns how often each method evaluates, for one tensor and its image."""
  functions = {f'{name}_fn': mock.Mock(side_effect=tf.identity)
               for name in _METHODS}
  bijector = bijector_class(forward_min_event_ndims=0, **functions)
  x = tf.ones([2])
  for _ in range(2):
    y = bijector.forward(x)
    bijector.inverse(y)
    bijector.forward_log_det_jacobian(x)
    bijector.inverse_log_det_jacobian(y)
  return [function.call_count for function in functions.values()]


def test_without_a_cache_every_call_evaluates():

  class Uncached(tfb.Inline):
    _cache = private_tfp_apis.NoCache()

  assert ask_twice(Uncached) == [2, 2, 2, 2]
  # TFP's own cache remembers.
  assert sum(ask_twice(tfb.Inline)) < 8
