"""Fails where an upgrade of TFP changes what is used beyond public names."""

import functools

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import private_tfp_apis

_METHODS = ('forward', 'inverse', 'forward_log_det_jacobian',
            'inverse_log_det_jacobian')


def ask_twice(bijector_class):
  """Returns what was evaluated for one tensor and its image."""
  called = []

  def evaluate(x, name):
    called.append(name)
    return tf.identity(x)

  bijector = bijector_class(forward_min_event_ndims=0, **{
      f'{name}_fn': functools.partial(evaluate, name=name)
      for name in _METHODS})
  x = tf.ones([2])
  for _ in range(2):
    y = bijector.forward(x)
    bijector.inverse(y)
    bijector.forward_log_det_jacobian(x)
    bijector.inverse_log_det_jacobian(y)
  return called


def test_without_a_cache_every_call_evaluates():

  class Uncached(tfb.Inline):
    _cache = private_tfp_apis.NoCache()

  assert ask_twice(Uncached) == [*_METHODS, *_METHODS]
  # TFP's own cache remembers.
  assert len(ask_twice(tfb.Inline)) < 8
