"""Converted models compute what an independent float64 evaluation does."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conversion import checkpoints
from tf_resflow import conversion
from tf_resflow import models
from tf_resflow import numerics


@pytest.mark.parametrize('name', checkpoints.VARIANTS)
def test_converted_model_agrees_with_the_oracle(name, tmp_path):
  path = tmp_path / 'model.pth'
  made = checkpoints.write(path, name)
  model = conversion.load_model(path, dtype='float64')
  x = checkpoints.images(made)
  expected = made.expected('ema', x)
  z, log_det = tf.function(model.forward_and_log_det, autograph=False)(
      tf.constant(x), estimator=numerics.Exact())
  z_theirs = conversion.to_channels_first(model, z)
  # Spectral norms converge to a relative 1e-6 or so. Couplings have none, but
  # the files hold means and deviations of pixels in float32.
  tolerance, inverse_tolerance = (
      (2e-5, 2e-4) if model.is_random else
      (1e-6, 1e-6) if model.config.mean else (1e-11, 1e-8))
  np.testing.assert_allclose(
      z_theirs, expected['z'], rtol=0,
      atol=tolerance * np.abs(expected['z']).max())
  np.testing.assert_allclose(log_det, expected['log_det'], rtol=tolerance)
  # The number of levels, and with it the number of bits.
  bits = model.bits_per_dim_of(expected['log_prob_base'] + expected['log_det'])
  np.testing.assert_allclose(bits, expected['bits_per_dim'], rtol=1e-12)
  if 'logits' in expected:
    np.testing.assert_allclose(
        model.classify(x), expected['logits'], atol=1e-3)
  else:
    assert not model.has_classifier
  # Their latents, through our inverse.
  z_ours = conversion.from_channels_first(model, expected['z'])
  np.testing.assert_allclose(
      conversion.to_channels_first(model, z_ours), expected['z'], rtol=0)
  np.testing.assert_allclose(
      model.inverse(z_ours), x, rtol=0, atol=inverse_tolerance)


@pytest.mark.parametrize('name', ['grey', 'hybrid_factor_out'])
def test_trained_weights(name, tmp_path):
  path = tmp_path / 'model.pth'
  made = checkpoints.write(path, name, legacy=True)
  model = conversion.load_model(path, 'raw', dtype='float64')
  x = checkpoints.images(made)
  z = conversion.to_channels_first(model, model(x))
  expected = made.expected('raw', x)['z']
  np.testing.assert_allclose(
      z, expected, atol=2e-5 * np.abs(expected).max())
  # The averaged weights are far away.
  assert np.abs(made.expected('ema', x)['z'] - expected).max() > 0.1


class _Tensor:
  """An array with the method of `torch_file.Tensor` that is used."""

  def __init__(self, value):
    self._value = value

  def numpy(self):
    return self._value


def load(made, state):
  config = conversion.convert_arguments(made.arguments).config
  model = config.model.build()
  conversion.load_weights(
      model, {key: _Tensor(value) for key, value in state.items()})


_KERNEL = 'transforms.0.chain.2.nnet.0.weight'
_DENSE = 'transforms.1.chain.2.nnet.nnet.1.weight'
_FEATURES = 'transforms.1.chain.3.fc_module.bias'


def test_a_matrix_without_an_inverse_is_refused():
  made = checkpoints.make('coupling_linear')
  state = dict(made.raw)
  load(made, state)
  state['transforms.1.chain.0.weight'] = np.ones([6, 6], np.float32)
  with pytest.raises(ValueError, match='condition number inf: expected at'):
    load(made, state)


@pytest.mark.parametrize('change, message', [
    (lambda s: s.pop(_KERNEL), f'checkpoint.{_KERNEL}=None: expected a tens'),
    (lambda s: s.update({_KERNEL: s[_KERNEL][:, :, :2]}),
     r'shape \(3, 1, 2, 3\): expected the shape \(3, 1, 3, 3\)'),
    (lambda s: s.update({_KERNEL: s[_KERNEL][0]}), r'of shape \(1, 3, 3\): '),
    # Features are permuted, which must not cut a tensor to fit.
    (lambda s: s.update({_DENSE: np.ones([4, 128])}),
     r'of shape \(4, 128\): expected the shape \(4, 64\)'),
    (lambda s: s.update({_DENSE: np.ones([4, 5])}),
     r'of shape \(4, 5\): expected the shape \(4, 64\)'),
    (lambda s: s.update({_FEATURES: np.ones([128])}),
     r'of shape \(128,\): expected the shape \(64,\)'),
    (lambda s: s.update({_KERNEL: s[_KERNEL] * np.nan}),
     rf'{_KERNEL}=NaN or infinity: expected finite numbers'),
    (lambda s: s.update({'transforms.0.chain.9.weight': np.ones(1)}),
     '0.chain.9.weight=a tensor: expected none, as of 1 in all'),
    (lambda s: s.update({'transforms.0.chain.1.initialized': np.array(0)}),
     'transforms.0.chain.1.initialized=0: expected 1. .* first batch')])
def test_tensors_that_do_not_fit(change, message):
  made = checkpoints.make('grey')
  state = dict(made.raw)
  load(made, state)
  change(state)
  with pytest.raises(ValueError, match=message) as error:
    load(made, state)
  assert '\n' not in str(error.value)


def test_another_standardization_is_refused():
  made = checkpoints.make('hybrid')
  state = dict(made.raw)
  state['transforms.0.chain.0.mean'] = np.array([0.5, 0.4822, 0.4465])
  with pytest.raises(ValueError, match=r'=\[0.5, .*: expected \[0.49'):
    load(made, state)


# Latents change between our order and that of the authors' code.
@pytest.fixture(scope='module', name='model')
def fixture_model():
  """Of two scales, the first of which factors half of its channels out."""
  return models.ResidualFlow(models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_blocks=(1, 1), factor_out=True,
      hidden_channels=2, num_dense_blocks=0))


def test_order_of_latents(model):
  assert model.latent_shapes == ((2, 2, 2), (2, 2, 2))
  z = tf.constant([[*range(16)]])
  theirs = conversion.to_channels_first(model, z)
  np.testing.assert_array_equal(
      theirs, [[0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15]])
  np.testing.assert_array_equal(
      conversion.from_channels_first(model, theirs), z)


def test_every_number_of_a_batch_of_unequal_parts():
  """Against a loop over positions; the parts differ in size and in shape."""
  model = models.ResidualFlow(models.ResidualFlowConfig(
      image_shape=(8, 4, 3), num_blocks=(1, 1, 1), factor_out=True,
      hidden_channels=2, num_dense_blocks=0))
  assert model.latent_shapes == ((4, 2, 6), (2, 1, 12), (2, 1, 12))
  z = np.random.default_rng(0).normal(size=[3, model.event_size])
  want, start = np.zeros_like(z), 0
  for h, w, c in model.latent_shapes:
    for i, j, k in np.ndindex(h, w, c):
      want[:, start + (k * h + i) * w + j] = z[:, start + (i * w + j) * c + k]
    start += h * w * c
  theirs = conversion.to_channels_first(model, z)
  np.testing.assert_array_equal(theirs, want)
  np.testing.assert_array_equal(
      conversion.from_channels_first(model, want), z)
  # The two orders are not each other's.
  assert np.any(conversion.from_channels_first(model, z) != want)


@pytest.mark.parametrize('reorder_fn', [
    conversion.to_channels_first, conversion.from_channels_first])
@pytest.mark.parametrize('shape', [(16,), (2, 15), (2, 4, 4), ()])
def test_wrong_shapes_are_named(model, reorder_fn, shape):
  with pytest.raises(ValueError) as error:
    reorder_fn(model, tf.zeros(shape))
  assert str(error.value) == (
      f'z=a tensor of shape {shape}: expected the shape [B, 16].')
