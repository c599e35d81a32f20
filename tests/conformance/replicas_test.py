"""Training on two replicas: equal to each other and to one replica."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tests import replicas

_NUM_STEPS = 3
_LEARNING_RATE = 0.02


def global_batch(case, step):
  """Halves with different statistics."""
  x = case.inputs(batch_size=4, seed=step)
  shift = 0.0 if case.is_pixels else 1.0
  return tf.concat([x[:2], x[2:] * 0.5 + shift], axis=0)


def make_step(case, num_replicas):
  """Returns a subject and a function that trains it on one replica's batch."""
  subject = case.make()
  optimizer = keras.optimizers.SGD(_LEARNING_RATE)
  variables = cases.layer_of(subject).trainable_variables
  optimizer.build(variables)

  def step(x):
    with tf.GradientTape() as tape:
      y, *others = cases.evaluate(subject, x)
      loss = tf.reduce_mean(tf.sin(y)) - 0.1 * tf.reduce_sum(
          [tf.reduce_mean(t) for t in others])
    gradients = tape.gradient(loss, [v.value for v in variables])
    # The optimizer sums over replicas.
    optimizer.apply([g / num_replicas for g in gradients], variables)

  return subject, step


def train_on_two_replicas(case):
  """Returns the values of every variable on both replicas."""
  strategy = replicas.two_replicas()
  with strategy.scope():
    subject, step = make_step(case, num_replicas=2)
  run = tf.function(
      lambda x: strategy.run(step, args=(x,)), autograph=False)
  for i in range(_NUM_STEPS):
    run(replicas.per_replica(*tf.split(global_batch(case, i), 2)))
  return {
      v.path: replicas.local_values(v.value)
      for v in cases.layer_of(subject).variables}


def train_on_one(case):
  """Returns the values of every variable, in order."""
  subject, step = make_step(case, num_replicas=1)
  step = tf.function(step, autograph=False)
  for i in range(_NUM_STEPS):
    step(global_batch(case, i))
  return [v.numpy() for v in cases.layer_of(subject).variables]


@pytest.mark.parametrize('name', cases.trainable())
def test_two_replicas_stay_equal_and_agree_with_one(name):
  case = cases.trainable()[name]
  initial = [v.numpy() for v in cases.layer_of(case.make()).variables]
  replicated = train_on_two_replicas(case)
  single = train_on_one(case)
  moved = False
  for (path, values), start, one in zip(
      replicated.items(), initial, single, strict=True):
    assert len(values) == 2, f'{path} is not mirrored'
    np.testing.assert_array_equal(*values, err_msg=path)
    np.testing.assert_allclose(
        values[0], one, rtol=1e-3, atol=1e-5, err_msg=path)
    moved |= bool(np.any(values[0] != start))
  assert moved
