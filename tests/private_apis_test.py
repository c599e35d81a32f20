"""Fails where an upgrade changes what is used beyond public names."""

import gc
import io
import logging
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from tf_resflow import errors
from tf_resflow import private_apis


@pytest.mark.parametrize('is_allowed', [False, True])
def test_frequent_tracing(is_allowed, caplog, monkeypatch):
  monkeypatch.setattr(logging.getLogger('tensorflow'), 'propagate', True)
  function = tf.function(lambda x: x + 1.0, autograph=False)
  if is_allowed:
    assert private_apis.allow_frequent_tracing(function) is function
  with caplog.at_level(logging.WARNING, 'tensorflow'):
    for i in range(12):
      function(float(i))
  assert any('retracing' in r.message for r in caplog.records) != is_allowed


def test_what_xla_compiles():
  """Functions within, too."""
  found = []

  def inner(x):
    found.append(private_apis.is_compiled())
    return x + 1.0

  for jit_compile in (True, False):
    traced = tf.function(inner, autograph=False)
    tf.function(
        lambda x, f=traced: f(x), autograph=False, jit_compile=jit_compile)(1.0)
  assert found == [True, False]
  assert not private_apis.is_compiled()


class Raising(keras.layers.Layer):

  def __init__(self, error):
    super().__init__()
    self.error = error

  def call(self, inputs):
    raise self.error


def test_errors_that_keras_hands_on_as_they_are():
  with pytest.raises(tf.errors.InvalidArgumentError) as made:
    private_apis.assertions(tf.constant(False), ['a', tf.constant(7), 'line'])
  with pytest.raises(tf.errors.InvalidArgumentError) as info:
    Raising(made.value)(tf.zeros([1]))
  assert info.value.message == 'a 7 line'


def test_errors_within_calls_stay_one_line_of_their_class():
  layer = Raising(errors.InvalidValueError('inputs', 2, 'others'))
  with pytest.raises(
      errors.InvalidValueError, match='^inputs=2: expected others.$'):
    layer(tf.ones([2]))
  # Keras makes it anew where it infers shapes.
  with pytest.raises(
      errors.InvalidValueError, match='inputs=2: expected others'):
    keras.Sequential([layer])(tf.ones([2, 1]))


def test_processes_that_are_lost(monkeypatch):
  """What TensorFlow stores; `hosts_test.py` loses one."""
  stored = context.context()
  monkeypatch.setattr(stored, '_coordination_service_config', None)
  monkeypatch.setattr(stored, '_context_handle', None)
  private_apis.notice_lost_peers(3, 1.5)
  config = stored.coordination_service
  assert config.heartbeat_timeout_in_ms == 1500
  assert [(job.name, job.num_tasks) for job in config.coordinated_job_list] == [
      ('worker', 3)]


def test_events_that_are_no_summaries(tmp_path):
  with tf.summary.create_file_writer(str(tmp_path)).as_default() as writer:
    private_apis.write_event(tf.compat.v1.Event(step=3, wall_time=0.5))
    writer.close()
  [path] = tmp_path.iterdir()
  *_, record = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
  assert tf.compat.v1.Event.FromString(record).step == 3


def test_sublayers():
  inner = keras.Sequential([keras.Input([3]), keras.layers.Dense(2)])
  outer = keras.Sequential([inner, keras.layers.Dense(4)])
  found = list(private_apis.sublayers(outer))
  assert {inner.layers[0], outer.layers[1], inner, outer} <= set(found)


@pytest.mark.parametrize(
    'optimizer_class', [keras.optimizers.Adam, keras.optimizers.AdamW])
def test_adam_moments(optimizer_class):
  """Those that Keras' own update changes."""
  optimizer = optimizer_class(0.1, beta_1=0.5, beta_2=0.75)
  variables = [keras.Variable([1.0, 2.0]), keras.Variable(3.0)]
  optimizer.build(variables)
  gradients = [tf.constant([2.0, 4.0]), tf.constant(8.0)]
  optimizer.apply(gradients, variables)
  for variable, gradient in zip(variables, gradients, strict=True):
    m, v = private_apis.adam_moments(optimizer, variable)
    np.testing.assert_allclose(m, 0.5 * gradient)
    np.testing.assert_allclose(v, 0.25 * gradient**2)


def test_an_unpickler_in_python():
  unpickler = private_apis.python_unpickler()(io.BytesIO(b'](K\x01e.'))
  assert unpickler.load() == [1]
  assert unpickler.dispatch[ord('b')].__name__ == 'load_build'
  assert unpickler.dispatch[ord('}')].__name__ == 'load_empty_dictionary'


def test_custom_gradients_are_forgotten():
  """Their graphs, too, which they would hold."""

  @tf.custom_gradient
  def double(x):
    return 2.0 * x, lambda upstream: 3.0 * upstream

  function = tf.function(double, autograph=False)
  with private_apis.custom_gradients() as names:
    x = tf.constant(1.0)
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = function(x)
    assert tape.gradient(y, x) == 3.0
  assert names
  with private_apis.custom_gradients() as first:
    with private_apis.custom_gradients() as second:
      tf.function(tf.custom_gradient(lambda x: (x, lambda dy: dy)))(x)
  assert not first and not second  # Whose is it?
  graph = weakref.ref(function.get_concrete_function(x).graph)
  del function, tape, y
  gc.collect()
  assert graph() is not None
  private_apis.forget_gradients(names)
  gc.collect()
  assert graph() is None
