"""Training losses by their definitions; hybrid models learn."""

import dataclasses
import functools
import math
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tests import testing
from tests.training import runs
from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.models import objectives
from tf_resflow.numerics import random
from tf_resflow.specs import registries
from tf_resflow.training import learner as learner_lib

_CONFIG = models.ResidualFlowConfig(
    image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,), hidden_channels=3,
    kernel_sizes=(3, 1), num_dense_blocks=0, num_classes=3, head_channels=4)


def _batch(batch_size=8):
  rng = np.random.default_rng(0)
  images = rng.random([batch_size, *_CONFIG.image_shape])
  return models.Batch(tf.constant(images), tf.constant(
      rng.integers(0, 3, [batch_size]), tf.int32))


def _make_model(**changes):
  model = dataclasses.replace(_CONFIG, **changes).build('float64')
  model.initialize(_batch().x)
  return model


@pytest.fixture(scope='module')
def model():
  """A model that no test changes."""
  return _make_model()


def _gradients(objective, model, batch, seed):
  with tf.GradientTape() as tape:
    loss, metrics = objective(model, batch, seed)
  return loss, metrics, tape.gradient(
      loss, [v.value for v in model.trainable_variables],
      unconnected_gradients=tf.UnconnectedGradients.ZERO)


@pytest.mark.parametrize('beta', [None, 0.3])
@pytest.mark.parametrize(('spec', 'scale'), [
    ('nats', 1.0), ('bits_per_dim', 1.0 / 16 / math.log(2.0)),
    ('hybrid:0.0625', 0.0625), ('cross_entropy', 0.0)])
def test_losses_and_their_gradients(model, spec, scale, beta):
  """By the definition, from the parts of the model.

  An annealed log-determinant is weighted in gradients alone: what is logged is
  the density.
  """
  batch, seed = _batch(), random.as_seed(3)

  def definition(model, batch, seed, beta=1.0):
    z, log_det = model.forward_and_log_det(batch.x, seed=seed)
    nats = -tf.reduce_mean(model.base.log_prob(z) + beta * log_det)
    if spec == 'nats':
      return nats, {'nats': nats}
    nats += 16 * math.log(17)
    metrics = {'bits_per_dim': nats / 16 / math.log(2)}
    if spec == 'bits_per_dim':
      return scale * nats, metrics
    log_softmax = tf.math.log_softmax(model.classify(batch.x))
    cross_entropy = -tf.reduce_mean(
        tf.gather(log_softmax, batch.labels, batch_dims=1))
    predicted = np.argmax(log_softmax, axis=1)
    metrics = metrics if scale else {}
    return scale * nats + cross_entropy, metrics | {
        'cross_entropy': cross_entropy,
        'accuracy': np.mean(predicted == batch.labels.numpy())}

  loss, metrics, gradients = _gradients(
      functools.partial(
          objectives.Objective.get(spec),
          log_det_weight=None if beta is None else tf.constant(beta)),
      model, batch, seed)
  expected, expected_metrics = definition(model, batch, seed)
  np.testing.assert_allclose(loss, expected, rtol=1e-12)
  assert metrics.keys() == expected_metrics.keys()
  for name, value in metrics.items():
    np.testing.assert_allclose(value, expected_metrics[name], rtol=1e-12)
  *_, expected_gradients = _gradients(
      functools.partial(definition, beta=float(np.float32(beta or 1.0))),
      model, batch, seed)
  for variable, a, b in zip(
      model.trainable_variables, gradients, expected_gradients, strict=True):
    np.testing.assert_allclose(
        a, b, rtol=1e-9, atol=1e-12, err_msg=variable.path)


@pytest.mark.parametrize('name', registries.OBJECTIVES.names())
def test_metrics_say_what_the_loss_is_and_what_an_estimate_changes(model, name):
  objective = objectives.Objective.get(
      'hybrid:0.0625' if name == 'hybrid' else name)
  (loss, one), (_, other) = [
      objective(model, _batch(), random.as_seed(seed)) for seed in (3, 4)]
  assert tuple(one) == objective.metric_names
  np.testing.assert_allclose(
      objective.loss_of({n: float(v) for n, v in one.items()}, 16), loss,
      rtol=1e-12)
  assert objective.density_metrics == tuple(
      metric for metric in one if one[metric] != other[metric])


def test_classification_alone_has_no_log_determinant(model, monkeypatch):
  monkeypatch.setattr(numerics.SeriesEstimator, 'evaluate', mock.Mock(
      side_effect=ZeroDivisionError))
  objectives.CrossEntropy()(model, _batch(), random.as_seed(3))
  with pytest.raises(ZeroDivisionError):
    objectives.Hybrid(0.5)(model, _batch(), random.as_seed(3))


def test_gradients_of_classification_alone():
  """Those of a batch in two parts are those of the whole."""
  model, batch = _make_model(
      num_blocks=(1, 1), num_dense_blocks=1, dense_hidden_units=5), _batch()
  objective = objectives.objective_of(model, 0.0)
  metrics, gradients = tf.function(models.TrainStep(
      model, None, objective, accumulation_steps=2).gradients, autograph=False)(
          batch, tf.constant(0))
  loss, expected_metrics, expected = _gradients(objective, model, batch, None)
  np.testing.assert_allclose(metrics['cross_entropy'], loss, rtol=1e-12)
  assert metrics.keys() == expected_metrics.keys()
  for variable, a, b in zip(
      model.trainable_variables, gradients, expected, strict=True):
    assert np.any(b != 0.0), variable.path
    np.testing.assert_allclose(
        a, b, rtol=1e-8, atol=1e-12, err_msg=variable.path)


def test_variables_that_no_class_depends_on_stay():
  """With factor-out the last scale reaches no head."""
  model, batch = _make_model(num_blocks=(1, 1), factor_out=True), _batch()
  before = [v.numpy() for v in model.trainable_variables]
  step = models.TrainStep(
      model, keras.optimizers.SGD(0.1), objectives.CrossEntropy())
  step(batch, tf.constant(0))
  moved = [np.any(v != old) for v, old in zip(
      model.trainable_variables, before, strict=True)]
  assert any(moved) and not all(moved)


def test_every_objective_has_a_spec():
  for name in registries.OBJECTIVES.names():
    objective = objectives.Objective.get(name)
    assert objectives.Objective.get(objective.spec()) == objective
  assert objectives.Objective.get('hybrid') == objectives.Hybrid(1.0)
  testing.check_refusals(objectives.Objective.get, [('l2', 'objective='), *(
      (f'hybrid:{bad}', '...nll_weight=') for bad in (0, -1, 'nan', 'inf'))])


def test_objective_of_a_model(model):
  assert objectives.objective_of(model, 0.5) == objectives.Hybrid(0.5)
  assert objectives.objective_of(model, 0.0) == objectives.CrossEntropy()
  images = dataclasses.replace(_CONFIG, num_classes=0).build()
  assert objectives.objective_of(images, 0.0) == objectives.BitsPerDim()
  vectors = models.VectorFlowConfig(
      event_size=3, num_blocks=1, hidden_units=(4,)).build()
  assert objectives.objective_of(vectors) == objectives.Nats()
  given_labels = dataclasses.replace(_CONFIG, condition_labels=3).build()
  testing.check_refusals(objectives.objective_of, [(
      given_labels,
      'hybrid=true cannot be used with condition_on=label. The')])
  assert objectives.objective_of(images, spec='nats') == objectives.Nats()
  testing.check_refusals(
      lambda case: objectives.objective_of(case[0], spec=case[1]), [
          ((vectors, 'bits_per_dim'), '...It requires images; use nats.'),
          ((images, 'hybrid:0.5'), '...has no classifier. Use --hybrid.'),
          ((vectors, 'cross_entropy'), 'objective=cross_entropy cannot'),
          ((vectors, 'mine'), 'objective=mine: expected one of bits_per_dim')])


@dataclasses.dataclass(frozen=True)
class _Weighted(objectives.Nats):
  """What a reader writes, of data with labels."""

  def check_data(self, data):
    errors.check(
        data.num_classes, 'objective', self.spec(),
        problem=f'requires labels, which {data.name} does not have')


def test_an_objective_may_refuse_data(monkeypatch):
  monkeypatch.setitem(registries.OBJECTIVES._entries, 'weighted', _Weighted)
  config = configuration.make_config(
      dataset='2d/moons', num_blocks=1, hidden_units=(3,), objective='weighted')
  assert splits.refusal(learner_lib.Learner, config) == (
      'objective=weighted requires labels, which 2d/moons does not have.')


def test_the_weight_of_the_density_reaches_the_objective():
  found = [
      learner_lib.Learner(runs.config(
          hybrid=True, head_channels=8, **values)).objective
      for values in ({'nll_weight': 0.0}, {'nll_weight': '1/D'},
                     {'objective': 'hybrid:0.25'})]
  assert found == [
      objectives.CrossEntropy(), objectives.Hybrid(1.0 / 64.0),
      objectives.Hybrid(0.25)]
