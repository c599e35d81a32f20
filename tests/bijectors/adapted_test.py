"""Bijectors that adapt layers compute and are documented as these."""

import inspect
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests import cases
from tf_resflow import bijectors
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.checks import subjects

_NAMES = [name for name in bijectors.__all__ if name in layers.__all__]


@pytest.mark.parametrize('name, event_shape, values', [
    ('ActNorm', [2, 2, 3], dict(variance_floor=4.0, per_feature=True)),
    ('InvertibleLinear', [3], dict(initial_matrix=np.diag([1.0, 2.0, 3.0]))),
    ('Logit', [2, 2, 1], dict(alpha=0.2, dtype='float64'))])
def test_values_and_settings_are_those_of_the_layer(name, event_shape, values):
  bijector = getattr(bijectors, name)(event_shape, **values)
  layer = getattr(layers, name)(**values)
  x = tf.random.stateless_uniform([5, *event_shape], [0, 1], dtype=tf.as_dtype(
      values.get('dtype', 'float32')))
  y, log_det = layer.forward_and_log_det(x)
  np.testing.assert_array_equal(bijector.forward(x), y)
  np.testing.assert_array_equal(bijector.forward_log_det_jacobian(x), log_det)
  assert bijector.forward_event_shape(event_shape) == y.shape[1:]
  # A copy shares the variables.
  assert bijector.layer is bijector.copy(name='other').layer


def test_copies_with_other_settings_share_the_weights():
  block = bijectors.ResidualBlock(make_g(), event_shape=[3])
  x = tf.ones([2, 3])
  other = block.copy(estimator='exact', name='other')
  assert other.layer is not block.layer and other.layer.g is not None
  assert other.layer.estimator == numerics.Exact()
  np.testing.assert_array_equal(other.forward(x), block.forward(x))
  block.layer.constrained_layers()[0].kernel.assign_add(tf.ones([3, 4]))
  np.testing.assert_array_equal(other.forward(x), block.forward(x))


def test_signature_and_text_say_all_arguments():
  default_names = []
  for name in _NAMES:
    cls = getattr(bijectors, name)
    parameters = inspect.signature(cls).parameters
    layer_names = list(inspect.signature(
        getattr(layers, name).__init__).parameters)[1:-1]
    assert set(parameters) == {
        *layer_names, 'event_shape', 'dtype', 'layer', 'seed', 'name'}
    for argument in parameters:
      assert f'\n  {argument}: ' in cls.__doc__
    assert pickle.loads(pickle.dumps(cls)) is cls
    default_names.append(parameters['name'].default)
  assert {'act_norm', 'factor_out', 'invertible_conv_1x1', 'residual_block'
          } <= set(default_names)
  assert list(inspect.signature(bijectors.AffineCoupling).parameters) == [
      'network', 'event_shape', 'mask', 'swap', 'shape', 'dtype', 'layer',
      'seed', 'name']


def test_all_but_bases_and_containers_are_adapted():
  bijections = {
      name for name in layers.__all__ if inspect.isclass(
          getattr(layers, name)) and issubclass(
              getattr(layers, name), layers.Bijection)}
  assert bijections - {*_NAMES} == {
      'Bijection', 'CompositeBijection', 'SequentialBijection'}


def test_every_bijection_has_a_bijector():
  """Each of the class of a case, in both directions."""
  left = set(_NAMES)
  for case in cases.BIJECTIONS.values():
    made = case.make('float64')
    name = type(made).__name__
    if name not in left:
      continue
    left.remove(name)
    x = case.inputs('float64')
    bijector = getattr(bijectors, name)(
        event_shape=case.event_shape, layer=made)
    condition = subjects.Instance(made).condition(x)
    y = bijector.forward(x, condition=condition)
    expected, log_det = made.forward_and_log_det(x, condition=condition, seed=3)
    np.testing.assert_array_equal(y, expected, name)
    np.testing.assert_array_equal(bijector.forward_log_det_jacobian(
        x, condition=condition, seed=3), log_det, name)
    np.testing.assert_allclose(
        bijector.inverse(y, condition=condition), x, atol=1e-4, err_msg=name)
  assert not left


def make_g():
  return keras.Sequential([
      layers.SpectralDense(4), layers.LipSwish(), layers.SpectralDense(3)])


# One class adapts them all: events of one axis, of three, and from three to
# one.
@pytest.fixture(scope='module', params=[
    'bijector_residual_exact', 'bijector_squeeze', 'bijector_of_chain'])
def initialized(request):
  """A case, and its bijector that has seen data."""
  case = cases.BIJECTORS[request.param]
  bijector = case.make()
  bijector.forward(case.inputs())
  return case, bijector


@pytest.mark.parametrize('batch_shape', [(), (2, 3)])
def test_any_batch_shape(initialized, batch_shape):
  case, bijector = initialized
  x = case.inputs(batch_size=int(np.prod(batch_shape)))
  shaped = tf.reshape(x, [*batch_shape, *case.event_shape])
  y = bijector.forward(shaped)
  assert y.shape[:len(batch_shape)] == batch_shape
  np.testing.assert_allclose(
      tf.reshape(y, [-1]), tf.reshape(bijector.forward(x), [-1]),
      rtol=1e-5, atol=1e-5)
  assert bijector.forward_log_det_jacobian(shaped).shape == batch_shape
  np.testing.assert_allclose(
      bijector.inverse(tf.identity(y)), shaped, atol=1e-4)


def test_event_shapes_are_inferred(initialized):
  case, bijector = initialized
  y = bijector.forward(case.inputs())
  assert bijector.forward_event_shape(case.event_shape) == y.shape[1:]
  assert bijector.inverse_event_shape(y.shape[1:]) == case.event_shape
  np.testing.assert_array_equal(
      bijector.forward_event_shape_tensor(case.event_shape), y.shape[1:])
  np.testing.assert_array_equal(
      bijector.inverse_event_shape_tensor(y.shape[1:]), case.event_shape)
  density = tfd.TransformedDistribution(
      tfd.Sample(tfd.Normal(0.0, 1.0), y.shape[1:]), tfb.Invert(bijector))
  assert density.event_shape == case.event_shape
  samples = density.sample([2, 3], seed=1)
  assert samples.shape == (2, 3, *case.event_shape)
  assert density.log_prob(samples).shape == [2, 3]


def test_takes_a_residual_layer():
  layer = layers.ResidualBlock(make_g(), estimator=numerics.Exact())
  bijector = bijectors.ResidualBlock(layer=layer, event_shape=[3])
  assert bijector.layer is layer
  for settings in (
      {'estimator': numerics.Exact()}, {'solver': 'banach'}, {'g': make_g()},
      {'memory': 'naive'}, {'lipschitz_bound': 0.5}):
    with pytest.raises(errors.InvalidValueError, match=(
        f'layer=.* cannot be used with {[*settings][0]}. Pass all settings')):
      bijectors.ResidualBlock(layer=layer, event_shape=[3], **settings)


def test_event_shape_comes_from_a_built_model():
  g = make_g()
  g.build((None, 3))
  bijector = bijectors.ResidualBlock(g)
  assert bijector.forward_min_event_ndims == 1
  assert len(bijector.trainable_variables) == 5
  layer = layers.ResidualBlock(g)
  layer.build((None, 3))
  assert len(bijectors.ResidualBlock(layer=layer).trainable_variables) == 5


def test_refuses_unknown_event_shapes():
  for g in (make_g(), keras.layers.Dense(3)):
    with pytest.raises(errors.InvalidValueError, match=(
        'event_shape=None: expected the shape of one event')):
      bijectors.ResidualBlock(g, lipschitz_bound=0.5)
  for shape in (2, 'ab', [2, None]):
    for make_fn in (
        lambda shape: bijectors.ResidualBlock(make_g(), event_shape=shape),
        lambda shape: models.Flow(layers.ActNorm(), shape)):
      with pytest.raises(
          errors.InvalidValueError, match='^event_shape=') as error:
        make_fn(shape)
      assert '\n' not in str(error.value)
