"""An exported function refuses to be differentiated, and warns of nothing."""

import logging

import pytest
import tensorflow as tf

from tf_resflow.serving import gradients


def test_outputs_refuse_to_be_differentiated():

  @tf.custom_gradient
  def square(x):
    return x * x, lambda dy: 2.0 * x * dy

  function = tf.function(gradients.prevent(lambda x: {'y': square(x)}))
  x = tf.constant(3.0)
  assert function(x)['y'] == 9.0
  with pytest.raises(LookupError, match='train the model it came from'):
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = function(x)['y']
    tape.gradient(y, x)


def test_loading_is_quiet_and_tapes_do_not_matter(exported, images, caplog):
  with caplog.at_level(logging.WARNING):
    loaded = tf.saved_model.load(exported)
  assert not caplog.records
  with tf.GradientTape() as tape:
    outputs = loaded.signatures['log_prob'](
        images=tf.constant(images), seed=tf.constant([0, 1]))
  assert not tape.watched_variables()
  assert outputs['log_prob'].shape == [5]
