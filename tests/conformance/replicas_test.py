"""Training on two replicas: equal to each other and to one replica."""

import keras
import numpy as np
import tensorflow as tf

from tests import replicas
from tests.conformance import subjects
from tf_resflow.checks import subjects as subjects_lib

_NUM_STEPS = 3


def make_step(case, num_replicas):
  """Returns a new subject, and a function that trains it on a batch's part."""
  made = subjects_lib.Instance(case.make())
  variables = made.layer.trainable_variables
  optimizer = keras.optimizers.SGD(0.02)
  optimizer.build(variables)

  def step(x):
    gradients = subjects_lib.differentiate(subjects_lib.loss, made, x)[1]
    # The optimizer sums over replicas.
    optimizer.apply(
        [gradients[v.path] / num_replicas for v in variables], variables)

  return made, step


def global_batches(case):
  """Returns a batch for each step; their halves have different statistics."""
  batches = [case.inputs(seed=i) for i in range(_NUM_STEPS)]
  shift = 0.0 if case.is_pixels else 1.0
  return batches if case.num_labels else [
      tf.concat([x[:2], x[2:] * 0.5 + shift], axis=0) for x in batches]


def train_on_one_replica(case):
  """Returns the values of all variables before and afterwards."""
  made, step = make_step(case, num_replicas=1)
  initial = [v.numpy() for v in made.layer.variables]
  traced = tf.function(step, autograph=False)
  for x in global_batches(case):
    traced(x)
  return initial, [v.numpy() for v in made.layer.variables]


def train_on_two_replicas(case):
  """Returns path and values, on both replicas, of every variable."""
  strategy = replicas.two_replicas()
  with strategy.scope():
    made, step = make_step(case, num_replicas=2)

  @tf.function(autograph=False)
  def run(x):
    strategy.run(step, args=(x,))

  for x in global_batches(case):
    run(replicas.per_replica(*tf.split(x, 2)))
  return [(v.path, replicas.local_values(v.value))
          for v in made.layer.variables]


# One of each that has variables of its own, draws, or statistics.
_FAST = (
    'spectral_conv', 'act_norm_image', 'moving_mean', 'coupling_channel',
    'invertible_linear_free', 'residual_recompute', 'bijector_act_norm',
    'vector_flow')


# Further ways to hold variables, draws and statistics.
_SLOW = (
    'conditional_labels', 'induced_upper', 'learned_norms',
    'concatenation', 'sll_conv', 'cpl_conv', 'classifier_head',
    'label_embedding', 'vector_network', 'noise_learned',
    'variational_dequantization', 'monotone', 'conditional_affine',
    'vector_flow_conditional_lu')


@subjects.each(_FAST + _SLOW, slow=_SLOW)
def test_two_replicas_stay_equal_and_agree_with_one(subject):
  initial, final = train_on_one_replica(subject.case)
  moved = False
  for (path, values), start, one in zip(
      train_on_two_replicas(subject.case), initial, final, strict=True):
    assert len(values) == 2, f'{path} is not mirrored'
    np.testing.assert_array_equal(*values, err_msg=path)
    np.testing.assert_allclose(
        values[0], one, rtol=1e-3, atol=1e-5, err_msg=path)
    moved |= bool(np.any(values[0] != start))
  assert moved
