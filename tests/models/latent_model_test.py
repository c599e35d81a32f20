"""What Keras would do with latents is refused; own losses are fitted."""

import keras
import numpy as np
import tensorflow as tf

from tests import testing
from tf_resflow import layers
from tf_resflow import models

_X = np.random.default_rng(0).normal(3.0, 2.0, [64, 2]).astype('float32')


class OwnLoss(models.Flow):

  def compute_loss(self, x, *unused_arguments):
    return -tf.reduce_mean(self.log_prob(x))


class OwnStep(models.Flow):

  def train_step(self, data):
    with tf.GradientTape() as tape:
      # Keras' own function, but not of latents.
      loss = self.compute_loss(y=tf.zeros(len(_X)), y_pred=self.log_prob(data))
    self.optimizer.apply(
        tape.gradient(loss, [v.value for v in self.trainable_variables]),
        self.trainable_variables)
    return {'nats': loss}


class Scorer(keras.Model):
  """What the refusal names."""

  def __init__(self, *args):
    super().__init__()
    self.flow = models.Flow(*args)
    self.initialize = self.flow.initialize

  def call(self, x):
    return self.flow.log_prob(x)


def _make(cls):
  flow = cls(layers.ActNorm(), (2,))
  flow.initialize(2.0 * _X + 1.0)
  return flow


def test_losses_of_keras_are_refused(tmp_path):
  flow = _make(models.Flow)
  flow.compile('adam', loss='mse')
  testing.check_refusals(lambda call: call(), [
      (lambda: flow.fit(_X, _X, verbose=0),
       f'fit cannot be used with {flow.name}: its outputs are latents, and a '
       'loss of Keras would compare these with targets. Use tf_resflow train '
       '...returns flow.log_prob(x), compiled with loss=lambda _, log_prob: '),
      (lambda: flow.train_on_batch(_X, _X), 'fit cannot be used with'),
      (lambda: flow.evaluate(_X, _X, verbose=0), 'evaluate cannot be used'),
      (lambda: flow.export(str(tmp_path / 'out')),
       f'export cannot be used with {flow.name}: Keras would export latents '
       'alone. Use tf_resflow.serving.export(flow, folder), or tf_resflow')])
  assert not list(tmp_path.iterdir())
  np.testing.assert_allclose(
      flow.predict(_X, verbose=0), flow.encode(_X), atol=1e-5)


def test_own_losses_are_fitted():
  """A loss of log-densities falls from step to step."""
  for cls, loss in (OwnLoss, None), *(
      (cls, lambda _, log_prob: -log_prob) for cls in (OwnStep, Scorer)):
    flow = _make(cls)
    flow.compile('sgd', loss=loss, jit_compile=False)
    (losses,) = flow.fit(
        _X, *[_X] * (cls is Scorer), epochs=3, batch_size=len(_X),
        verbose=0).history.values()
    assert losses[0] > losses[1] > losses[2], (cls, losses)
