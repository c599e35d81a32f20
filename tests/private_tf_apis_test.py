"""Fails where an upgrade changes what is used beyond public names."""

import logging

import keras
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from tf_resflow import errors
from tf_resflow import private_tf_apis


@pytest.mark.parametrize('is_allowed', [False, True])
def test_frequent_tracing(is_allowed, caplog, monkeypatch):
  monkeypatch.setattr(logging.getLogger('tensorflow'), 'propagate', True)
  function = tf.function(lambda x: x + 1.0, autograph=False)
  if is_allowed:
    assert private_tf_apis.allow_frequent_tracing(function) is function
  with caplog.at_level(logging.WARNING, 'tensorflow'):
    for i in range(12):
      function(float(i))
  assert any('retracing' in r.message for r in caplog.records) != is_allowed


def test_what_xla_compiles():
  """Functions within, too."""
  found = []

  def inner(x):
    found.append(private_tf_apis.is_compiled())
    return x + 1.0

  for jit_compile in (True, False):
    traced = tf.function(inner, autograph=False)
    tf.function(
        lambda x, f=traced: f(x), autograph=False, jit_compile=jit_compile)(1.0)
  assert found == [True, False]
  assert not private_tf_apis.is_compiled()


class Raising(keras.layers.Layer):

  def __init__(self, error):
    super().__init__()
    self.error = error

  def call(self, inputs):
    raise self.error


def test_errors_that_keras_hands_on_as_they_are():
  error = tf.errors.InvalidArgumentError(None, None, 'a line')
  with pytest.raises(tf.errors.InvalidArgumentError) as info:
    Raising(private_tf_apis.not_wrapped_by_keras(error))(tf.zeros([1]))
  assert info.value.message == 'a line'


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
  private_tf_apis.notice_lost_peers(3, 1.5)
  config = stored.coordination_service
  assert config.heartbeat_timeout_in_ms == 1500
  assert [(job.name, job.num_tasks) for job in config.coordinated_job_list] == [
      ('worker', 3)]


def test_events_that_are_no_summaries(tmp_path):
  with tf.summary.create_file_writer(str(tmp_path)).as_default() as writer:
    private_tf_apis.write_event(tf.compat.v1.Event(step=3, wall_time=0.5))
    writer.close()
  [path] = tmp_path.iterdir()
  *_, record = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
  assert tf.compat.v1.Event.FromString(record).step == 3
