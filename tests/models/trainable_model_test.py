"""Keras fits flows: the steps of training, weights, labels, files."""

import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tests import flows
from tests import replicas
from tests import testing
from tests.training import runs
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.training import learner as learner_lib

_X = np.random.default_rng(0).normal(3.0, 2.0, [64, 2]).astype('float32')


def _make_points(**changes):
  keras.utils.set_random_seed(0)
  return models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(8,), **changes).build()


def test_a_fit_needs_an_optimizer():
  testing.check_refusals(_make_points().fit, [
      (_X, 'fit needs an optimizer. Call compile(optimizer) before.')])


def test_steps_are_those_of_training():
  """Ten, with the same batches and seeds, to 1e-5."""
  x = np.random.default_rng(1).random([10, 8, 8, 8, 1], np.float32)
  config = runs.config(
      seed=3, learning_rate=0.01, warmup_steps=0, schedule='constant',
      batch_size=8, clip_norm=1e9, num_steps=10)
  learner = learner_lib.Learner(config)
  flow = config.model.build()
  flow.set_weights(learner.model.get_weights())
  learner.initialize(models.Batch(x[0]))
  metrics = [learner.run_step(models.Batch(x[i]), tf.constant(i, tf.int64))
             for i in range(10)]
  flow.compile(keras.optimizers.Adam(0.01, beta_2=0.99, epsilon=1e-8), seed=3)
  for i, values in enumerate(metrics):
    found = flow.fit(x[i], batch_size=8, shuffle=False, verbose=0).history
    assert found['bits_per_dim'] == [pytest.approx(
        float(values['bits_per_dim']), rel=1e-5)]
  for a, b in zip(flow.trainable_variables, learner.model.trainable_variables,
                  strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_fit_starts_at_data_and_is_traced_once_a_shape():
  flow = _make_points()
  flow.compile(keras.optimizers.Adam(0.02, global_clipnorm=1.0))
  traces = []
  step = flow.train_step
  flow.train_step = lambda data: traces.append(data) or step(data)
  history = flow.fit(
      tf.data.Dataset.from_tensor_slices(_X[:50]).batch(20), epochs=15,
      verbose=0, validation_data=(_X[50:],), callbacks=[
          keras.callbacks.EarlyStopping('val_loss', patience=20)]).history
  assert len(traces) <= 3
  assert sorted(history) == ['loss', 'nats', 'val_loss', 'val_nats']
  assert history['loss'][0] < 6.0 and history['loss'][-1] < history['loss'][0]
  exact = -np.mean(flow.log_prob(_X[50:], estimator='exact'))
  assert history['val_nats'][-1] == pytest.approx(exact, abs=0.05)


def test_weights_repeat_examples():
  """Doubled weights are doubled rows, up to the factor of the mean."""
  flow = _make_points(estimator='exact')
  flow.initialize(_X)
  flow.compile('sgd')
  weight = np.where(np.arange(64) < 32, 1.0, 0.0)
  whole, half = (
      flow.evaluate(*arguments, batch_size=64, verbose=0, return_dict=True)
      for arguments in ((_X, None), (_X[:32], None)))
  weighted = flow.evaluate(
      _X, sample_weight=2.0 * weight, batch_size=64, verbose=0,
      return_dict=True)
  assert weighted['nats'] == pytest.approx(half['nats'], rel=1e-5)
  assert weighted['nats'] != pytest.approx(whole['nats'], rel=1e-3)


@pytest.mark.slow
def test_targets_are_labels_or_conditions():
  keras.utils.set_random_seed(0)
  hybrid = flows.make_hybrid_flow(16)
  x = np.random.default_rng(0).random([12, 4, 4, 1], np.float32)
  label = np.arange(12) % 3
  hybrid.compile(keras.optimizers.Adam(0.01), objective='hybrid:0.1')
  found = hybrid.fit(x, label, epochs=20, batch_size=12, verbose=0).history
  assert found['loss'][-1] < found['loss'][0]
  assert found['loss'][0] == pytest.approx(
      0.1 * 16 * np.log(2.0) * found['bits_per_dim'][0] +
      found['cross_entropy'][0], rel=1e-5)
  conditional = models.VectorFlowConfig(
      event_size=1, num_blocks=1, hidden_units=(8,), condition_size=1).build()
  conditional.compile(keras.optimizers.Adam(0.05))
  y, c = _X[:, :1] + 4.0 * _X[:, 1:], _X[:, 1:]
  found = conditional.fit(y, c, epochs=100, verbose=0).history['nats']
  # Of y alone it is 3.5.
  assert found[-1] < 3.0
  frame = pd.DataFrame(_X, columns=['x0', 'x1'])
  flow = _make_points()
  flow.compile('adam')
  flow.fit(frame, verbose=0)
  new = _make_points()
  new.compile('adam')
  testing.check_refusals(lambda call: call(), [
      (lambda: hybrid.fit(x, verbose=0), 'y=none: expected labels.'),
      (lambda: conditional.fit(y, verbose=0), 'y=none: expected conditions.'),
      (lambda: flow.fit(_X, _X, verbose=0), 'y=targets: expected none.'),
      (lambda: flow.fit(frame.mask(frame == frame.iloc[0, 0])),
       'x=rows with empty cells: expected complete rows.'),
      (lambda: flow.compile('adam', 'mse'), 'loss cannot be used with'),
      (lambda: flow.compile('adam', metrics=['mse']),
       'metrics cannot be used with'),
      (lambda: _make_points().fit(_X), 'fit needs an optimizer.'),
      # Also after a fit.
      (lambda: flow.fit(np.where(_X == _X[0], np.nan, _X)),
       'x=2 values that are not finite: expected finite numbers.'),
      (lambda: flow.fit(_X[:, :1]), 'x=a tensor (1, 1): expected [B, 2].'),
      (lambda: hybrid.fit(np.uint8(x), label), 'x=uint8: expected floats.'),
      (lambda: conditional.fit(y, c[:, 0]),
       'y=conditions [64]: expected numbers [B, 1].'),
      (lambda: flow.fit(_X, validation_data=(_X, _X)),
       'y=targets: expected none.'),
      (lambda: new.fit(iter([_X])), 'x=list_iterator: expected')])


@pytest.mark.slow
def test_a_fit_goes_on_in_another_process(tmp_path):
  flow = _make_points()
  flow.compile(keras.optimizers.Adam(0.02), objective='nats', seed=5)
  flow.fit(_X, verbose=0)
  flow.save(tmp_path / 'flow.keras')
  np.save(tmp_path / 'x.npy', _X)
  subprocess.run([sys.executable, '-c', """
import keras, numpy as np
import tf_resflow
flow = keras.models.load_model('flow.keras')
flow.fit(np.load('x.npy'), batch_size=64, verbose=0)
np.save('weights.npy', flow.get_weights()[0])
"""], check=True, cwd=tmp_path)
  flow.fit(_X, batch_size=64, verbose=0)
  np.testing.assert_allclose(
      flow.get_weights()[0], np.load(tmp_path / 'weights.npy'), rtol=1e-5,
      atol=1e-6)


@pytest.mark.slow
def test_two_replicas_fit_as_one_does():
  """Also where one of them has no example of the last batch."""
  losses, x = [], _X[:49]
  for strategy in tf.distribute.get_strategy(), replicas.two_replicas():
    with strategy.scope():
      flow = _make_points(estimator='exact')
      flow.compile(keras.optimizers.SGD(0.01))
    found = flow.fit(x, epochs=3, batch_size=16, shuffle=False, verbose=0,
                     validation_data=(x,)).history
    losses.append([found['nats'], found['val_nats']])
  np.testing.assert_allclose(*losses, rtol=1e-5)


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


def test_losses_of_derived_classes_are_fitted():
  """They fall from step to step."""
  for cls, loss in (OwnLoss, None), (OwnStep, lambda _, log_prob: -log_prob):
    flow = cls(layers.ActNorm(), (2,))
    flow.initialize(2.0 * _X + 1.0)
    flow.compile('sgd', loss=loss)
    (losses,) = flow.fit(
        _X, epochs=3, batch_size=len(_X), verbose=0).history.values()
    assert losses[0] > losses[1] > losses[2], (cls, losses)
