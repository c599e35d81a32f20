"""Training on two replicas: equal to each other and to one replica."""

import numpy as np
import tensorflow as tf

from tests import cases
from tests import replicas
from tests.conformance import subjects
from tf_resflow.checks import subjects as subjects_lib


def train_on_two_replicas(case):
  """Returns path and values, on both replicas, of every variable."""
  strategy = replicas.two_replicas()
  with strategy.scope():
    subject, step = subjects_lib.make_step(case, num_replicas=2)

  @tf.function(autograph=False)
  def run(x):
    strategy.run(lambda x: (step(x), None)[1], args=(x,))

  for x in subjects_lib.global_batches(case):
    run(replicas.per_replica(*tf.split(x, 2)))
  return [(v.path, replicas.local_values(v.value))
          for v in subjects_lib.layer_of(subject).variables]


# One of each that has variables of its own, draws, or statistics.
_FAST = (
    'spectral_conv', 'induced_upper', 'act_norm_image', 'moving_mean',
    'coupling_channel', 'invertible_linear_free', 'residual_recompute',
    'conditional_labels', 'bijector_act_norm', 'vector_flow')


_NAMES = [n for n in cases.representatives() if n in cases.trainable()]


@subjects.each(_NAMES, slow=set(_NAMES) - set(_FAST))
def test_two_replicas_stay_equal_and_agree_with_one(subject):
  trained = subject.training
  moved = False
  for (path, values), start, one in zip(
      train_on_two_replicas(subject.case), trained.initial, trained.final,
      strict=True):
    assert len(values) == 2, f'{path} is not mirrored'
    np.testing.assert_array_equal(*values, err_msg=path)
    np.testing.assert_allclose(
        values[0], one, rtol=1e-3, atol=1e-5, err_msg=path)
    moved |= bool(np.any(values[0] != start))
  assert moved
