"""The fused update against that of Keras; weight decay in closed form.

The other optimizers against the formulas of PyTorch, on two replicas, and in
continued runs; learning rates against formulas; orders of norms that are
trained by the norms themselves, against differences.
"""

import dataclasses
import itertools
import math
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import testing
from tests.training import runs
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow import training
from tf_resflow.specs import registries
from tf_resflow.training import checkpoints
from tf_resflow.training import objectives
from tf_resflow.training import optimizers

_EACH_OPTIMIZER = pytest.mark.parametrize('name', registries.OPTIMIZERS.names())


def _config(name, **changes):
  return configuration.make_config(**{
      'optimizer': name, 'warmup_steps': 0, **changes}).optimizer


def test_optimizer_settings():
  optimizer = optimizers.make_optimizer(
      _config('adam', beta_2=0.97, epsilon=1e-6))
  assert type(optimizer).__name__ == 'Adam'
  assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (
      0.9, 0.97, 1e-6)
  # Clipping in the optimizer would come before the replicas are reduced.
  assert optimizer.clipnorm is None and optimizer.global_clipnorm is None
  saved = keras.saving.serialize_keras_object(optimizer)
  assert isinstance(
      keras.saving.deserialize_keras_object(saved), optimizers.Adam)


@pytest.fixture(scope='module')
def model():
  return flows.make_image_flow(17)


@_EACH_OPTIMIZER
def test_weight_decay_is_decoupled_and_of_kernels_alone(name, model):
  optimizer = optimizers.make_optimizer(
      _config(name, weight_decay=0.1, learning_rate=0.5))
  for i, variable in enumerate(model.trainable_variables):
    variable.assign(tf.fill(variable.shape, 1.0 + 0.01 * i))
  before = [v.numpy() for v in model.trainable_variables]
  zeros = [tf.zeros(v.shape) for v in model.trainable_variables]
  for _ in range(3):
    optimizer.apply(zeros, model.trainable_variables)
  for old, variable in zip(before, model.trainable_variables, strict=True):
    # With zero gradients the optimizer itself moves nothing.
    factor = (1.0 - 0.5 * 0.1)**3 if variable.name == 'kernel' else 1.0
    np.testing.assert_allclose(
        variable.numpy(), old * factor, rtol=1e-6, err_msg=variable.path)
  assert {v.name for v in model.trainable_variables} == {
      'kernel', 'bias', 'beta', 'log_scale'}


@pytest.mark.parametrize('dtype, weight_decay, jit_compile', [
    ('float32', 0.0, True), ('float64', 0.1, False)])
def test_fused_update_is_that_of_keras(dtype, weight_decay, jit_compile):
  fused = optimizers.make_optimizer(_config(
      'adam', weight_decay=weight_decay, learning_rate=0.05, warmup_steps=3,
      beta_2=0.9, epsilon=1e-3))
  # What Keras wrote: the update of the class that ours derives from.
  plain = type(fused).__bases__[1].from_config(fused.get_config())
  if weight_decay:
    plain.exclude_from_weight_decay(var_names=['bias', 'beta', 'log_scale'])

  def train(optimizer):
    rng = np.random.default_rng(0)
    variables = [
        keras.Variable(rng.normal(size=shape), dtype=dtype, name=name)
        for shape, name in (((3, 4), 'kernel'), ((), 'beta'))]
    optimizer.build(variables)
    apply = tf.function(
        lambda gradients: optimizer.apply(gradients, variables),
        autograph=False, jit_compile=jit_compile)
    for _ in range(6):
      apply([tf.constant(rng.normal(size=v.shape), dtype) for v in variables])
    return [v.numpy() for v in [*variables, *optimizer.variables]]

  for a, b in zip(train(fused), train(plain), strict=True):
    # Keras rounds the betas to float32, in float64 as well.
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def _update(name, gradients, **changes):
  """Returns a number that starts at 1, after its updates in float64."""
  optimizer = optimizers.make_optimizer(_config(name, **changes))
  variable = keras.Variable(1.0, dtype='float64', name='kernel')
  optimizer.build([variable])
  for gradient in gradients:
    optimizer.apply([tf.constant(gradient, tf.float64)], [variable])
  return float(variable.numpy())


# The updates of PyTorch, by their formulas.


def _sgd(gradients, rate, momentum=0.9):
  w, m = 1.0, 0.0
  for g in gradients:
    m = momentum * m + g
    w -= rate * m
  return w


def _rmsprop(gradients, rate, alpha=0.99, eps=1e-8):
  w, v = 1.0, 0.0
  for g in gradients:
    v = alpha * v + (1.0 - alpha) * g**2
    w -= rate * g / (math.sqrt(v) + eps)
  return w


def _adamax(gradients, rate, betas=(0.9, 0.99), eps=1e-8):
  w, m, u = 1.0, 0.0, 0.0
  for t, g in enumerate(gradients, 1):
    m = betas[0] * m + (1.0 - betas[0]) * g
    u = max(betas[1] * u, abs(g) + eps)
    w -= rate / (1.0 - betas[0]**t) * m / u
  return w


def test_updates_are_those_of_the_formulas():
  """Defaults are the numbers of the released code."""
  gradients = np.random.default_rng(0).normal(size=9)
  found, expected = [], []
  for name, changes, value in (
      ('sgd', {}, _sgd(gradients, 0.05)),
      ('sgd', {'momentum': 0.5}, _sgd(gradients, 0.05, 0.5)),
      ('sgd', {'momentum': 0.0}, 1.0 - 0.05 * gradients.sum()),
      ('rmsprop', {}, _rmsprop(gradients, 0.05)),
      ('rmsprop', {'beta_2': 0.7}, _rmsprop(gradients, 0.05, 0.7)),
      ('adamax', {}, _adamax(gradients, 0.05)),
      ('adamax', {'beta_2': 0.7}, _adamax(gradients, 0.05, (0.9, 0.7)))):
    found.append(_update(name, gradients, learning_rate=0.05, **changes))
    expected.append(value)
  # The rate and the decays of Keras are float32 numbers.
  np.testing.assert_allclose(found, expected, atol=2e-6)
  # Other numbers are seen.
  assert np.diff(np.sort(expected)).min() > 1e-4
  # The first update has no past, in which epsilon would count otherwise.
  for epsilon in (0.1, 1.0):
    np.testing.assert_allclose(
        _update('adamax', gradients[:1], learning_rate=0.05, epsilon=epsilon),
        _adamax(gradients[:1], 0.05, eps=epsilon), atol=2e-6)


def test_epsilon_of_rmsprop_is_not_under_the_root():
  """As small gradients show: theirs is at most sqrt(2) below."""
  for gradient in (1e-6, 1e-7, 1e-8, 1e-10):
    theirs, ours = [
        1.0 - w for w in (_rmsprop([gradient], 0.05),
                          _update('rmsprop', [gradient], learning_rate=0.05))]
    assert 0.99 < ours / theirs < 1.001 * math.sqrt(2.0)


def test_what_an_optimizer_has_not_is_refused():
  for name, *fields in (
      ('adam', 'momentum'), ('rmsprop', 'momentum'), ('adamax', 'momentum'),
      ('sgd', 'beta_2', 'epsilon')):
    testing.check_refusals(optimizers.make_optimizer, [
        (_config(name, **{field: 0.5}),
         f'{field}=0.5 has no effect with optimizer={name}. Leave it')
        for field in fields])
  testing.check_refusal(
      optimizers.Adam, {'amsgrad': True}, 'amsgrad=True is not supported')


class _Linear(keras.layers.Dense):
  """A linear map that is trained: on replicas, and continued."""

  constrained_layers = ()
  bijection = types.SimpleNamespace(has_moving_statistics=False)

  def __init__(self):
    super().__init__(
        2, kernel_initializer=keras.initializers.GlorotUniform(0),
        dtype='float64', name='linear')
    self.build((None, 3))


@dataclasses.dataclass(frozen=True)
class _SquaredError(objectives.Objective):

  metric_names = ('error',)

  def __call__(self, model, batch, seed):
    error = tf.reduce_mean(tf.square(model(batch.x) - 1.0))
    return error, {'error': error}


class _Run:
  """A model and its step."""

  def __init__(self, name, num_replicas=1, model_class=_Linear):
    strategy = runs.strategy_of(num_replicas)
    with strategy.scope():
      self.model = model_class()
      self.optimizer = optimizers.make_optimizer(_config(
          name, learning_rate=0.05, weight_decay=0.1))
      self.optimizer.build(self.model.trainable_variables)
      ema = training.ExponentialMovingAverage(self.model)
    self._run_step = runs.on_replicas(strategy, training.TrainStep(
        self.model, self.optimizer, _SquaredError(), clip_norm=1.0))
    self.checkpoint = tf.train.Checkpoint(
        model=self.model, optimizer=self.optimizer, ema=ema,
        step=tf.Variable(0))

  def train(self, start, stop):
    """Returns the trained weights."""
    for t in range(start, stop):
      self._run_step(tf.constant(np.random.default_rng(t).random([4, 3])), t)
    return [v.numpy() for v in self.model.trainable_variables]


@pytest.mark.parametrize('name', [
    name if name in ('adam', 'sgd') else
    pytest.param(name, marks=pytest.mark.slow)
    for name in registries.OPTIMIZERS.names()])
def test_two_replicas_do_what_one_does(name):
  one, two = [_Run(name, num_replicas).train(0, 5) for num_replicas in (1, 2)]
  initial = [v.numpy() for v in _Linear().trainable_variables]
  for start, a, b in zip(initial, one, two, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-9)
    assert np.abs(a - start).max() > 1e-3


class _Reversed(_Linear):
  """The same weights, in the other order."""

  @property
  def trainable_variables(self):
    return super().trainable_variables[::-1]


@_EACH_OPTIMIZER
def test_a_continued_run_is_bit_identical(name, tmp_path):
  """Moments and averages follow their weights, not the order of these.

  It may change between versions.
  """
  run = _Run(name)
  run.train(0, 3)
  kernel, bias = run.checkpoint.ema.averages
  bias.assign([5.0, 6.0])
  path = run.checkpoint.save(str(tmp_path / 'ckpt'))
  state = [v.numpy() for v in run.optimizer.variables]
  expected = run.train(3, 6)
  again = _Run(name)
  checkpoints.restore(again.checkpoint, path)
  np.testing.assert_equal([v.numpy() for v in again.optimizer.variables], state)
  np.testing.assert_equal(again.train(3, 6), expected)

  other = _Run(name, model_class=_Reversed)
  assert [v.path for v in other.model.trainable_variables] == [
      'linear/bias', 'linear/kernel']
  checkpoints.restore(other.checkpoint, path)
  for a, b in zip(other.checkpoint.ema.averages, (bias, kernel), strict=True):
    np.testing.assert_array_equal(a, b)
  for a, b in zip(other.train(3, 6), expected[::-1], strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-14)


def _expected_rate(t, rate, warmup, num_steps, schedule):
  if t < warmup:
    return rate * (t + 1) / (warmup + 1)
  if schedule == 'constant':
    return rate
  progress = min((t - warmup) / (num_steps - warmup), 1.0)
  return rate * 0.5 * (1.0 + np.cos(np.pi * progress))


def test_learning_rate():
  for schedule, warmup in itertools.product(('constant', 'cosine'), (0, 1, 10)):
    optimizer = optimizers.make_optimizer(_config(
        'adam', learning_rate=0.02, warmup_steps=warmup, schedule=schedule,
        num_steps=50))
    for t in (0, 1, 5, 9, 10, 11, 30, 49, 50, 60):
      optimizer.iterations.assign(t)
      np.testing.assert_allclose(
          float(optimizer.learning_rate),
          _expected_rate(t, 0.02, warmup, 50, schedule), rtol=1e-5, atol=1e-8,
          err_msg=f'{schedule}, {warmup}, {t}')


def _model_of_learned_orders():
  model = models.VectorFlowConfig(
      event_size=3, num_blocks=2, hidden_units=(4,), norms=('learned',),
      norm_bound='estimate', act_norm=False).build('float64')
  rng = np.random.default_rng(0)
  for layer in model.constrained_layers:
    layer.kernel.assign(rng.normal(size=layer.kernel.shape))
    layer.tolerance, layer.max_power_iterations = 1e-8, 2000
  for variable in model.trainable_variables:
    if variable.name == 'raw':
      variable.assign(rng.normal())
  return model


def _gradients_of_orders(model):
  """Returns the gradients of a step, those of all else zeros."""
  variables = model.trainable_variables
  return optimizers.replace_order_gradients(
      [tf.zeros(v.shape, tf.float64) for v in variables], variables,
      model.constrained_layers)


def test_gradients_of_orders_are_those_of_the_mean_norm():
  model = _model_of_learned_orders()
  variables = model.trainable_variables
  assert [v.name for v in variables].count('raw') == 4
  for variable, gradient in zip(
      variables, _gradients_of_orders(model), strict=True):
    if variable.name != 'raw':
      np.testing.assert_array_equal(gradient, 0.0)
      continue
    value = float(variable.value)

    def mean(raw, variable=variable):
      variable.assign(raw)
      return np.mean([float(c.norm()) for c in model.constrained_layers])

    difference = (mean(value + 1e-5) - mean(value - 1e-5)) / 2e-5
    variable.assign(value)
    assert float(gradient) == pytest.approx(0.01 * difference, rel=1e-4)
    assert gradient != 0.0


@pytest.mark.parametrize('order_gradient', ['likelihood', 'norm'])
def test_a_step_takes_gradients_of_norms_if_it_is_told_to(order_gradient):
  """SGD shows gradients: those of norms are not clipped, the others are."""
  model = _model_of_learned_orders()
  before = [v.numpy() for v in model.trainable_variables]
  norms = _gradients_of_orders(model)
  optimizer = keras.optimizers.SGD(1.0)
  optimizer.build(model.trainable_variables)
  step = training.TrainStep(
      model, optimizer, objectives.Nats(), clip_norm=1e-6,
      order_gradient=order_gradient)
  x = tf.constant(np.random.default_rng(1).normal(size=[8, 3]))
  metrics = step(objectives.Batch(x), tf.constant(0))
  assert metrics['gradient_norm'] > 1e-3
  for variable, old, norm in zip(
      model.trainable_variables, before, norms, strict=True):
    moved = old - variable.numpy()
    if variable.name == 'raw' and order_gradient == 'norm':
      np.testing.assert_allclose(moved, norm, rtol=1e-9)
      assert abs(norm) > 1e-5
    else:
      assert np.linalg.norm(moved) <= 1.1e-6
