"""Converted models compute what an independent float64 evaluation does."""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tests.conversion import checkpoints
from tf_resflow import conversion
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.conversion import weights as weights_lib

# The other switches that change the function are in the slow tests.
_FAST = (
    'squeeze_first_5_bits', 'fully_connected', 'hybrid_factor_out',
    'mixed_columns', 'coupling_linear')
# Of these the trained weights, from a file of the older format; else averages.
_TRAINED = ('fully_connected', 'hybrid')


@pytest.mark.parametrize('name', [
    name if name in _FAST else pytest.param(name, marks=pytest.mark.slow)
    for name in checkpoints.VARIANTS])
def test_converted_model_agrees_with_the_oracle(name, tmp_path):
  path, is_trained = tmp_path / 'model.pth', name in _TRAINED
  made = checkpoints.write(path, name, legacy=is_trained)
  weights = ('raw',) if is_trained else ()  # By default averages.
  model = conversion.load_model(path, *weights, dtype='float64')
  x = checkpoints.images(made)
  expected = made.expected('raw' if is_trained else 'ema', x)
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
    np.testing.assert_allclose(model.classify(x), expected['logits'], atol=1e-3)
  else:
    assert not model.has_classifier
  # Their latents, through our inverse.
  z_ours = conversion.from_channels_first(model, expected['z'])
  np.testing.assert_allclose(
      conversion.to_channels_first(model, z_ours), expected['z'], rtol=0)
  np.testing.assert_allclose(
      model.inverse(z_ours), x, rtol=0, atol=inverse_tolerance)


def make(name):
  """Returns a variant's state, and a function that its model takes one by."""
  made = checkpoints.make(name)
  config, _ = conversion.arguments.convert_arguments(made.arguments)
  model = config.model.build()

  def load(state):
    weights_lib.load_weights(model, state)

  return made.raw, load


_KERNEL = 'transforms.0.chain.2.nnet.0.weight'
_DENSE = 'transforms.1.chain.2.nnet.nnet.1.weight'
_FEATURES = 'transforms.1.chain.3.fc_module.bias'


def test_tensors_that_do_not_fit():
  for name, changes, message in (
      ('coupling_linear', {
          'transforms.1.chain.0.weight': np.ones([6, 6], np.float32)},
       '...condition number inf: expected at'),
      ('hybrid', {
          'transforms.0.chain.0.mean': np.array([0.5, 0.4822, 0.4465])},
       '...=[0.5, ...: expected [0.49')):
    state, load = make(name)
    testing.check_refusals(load, [(state | changes, message)])
  state, load = make('grey')
  kernel = state[_KERNEL]
  load(state)
  testing.check_refusals(lambda changes: load({
      name: value for name, value in {**state, **changes}.items()
      if value is not None}), [
          ({_KERNEL: None}, f'checkpoint.{_KERNEL} is missing'),
          ({_KERNEL: kernel[:, :, :2]}, f'checkpoint.{_KERNEL}=a tensor of '
           'shape (3, 1, 2, 3): expected the shape (3, 1, 3, 3)'),
          ({_KERNEL: kernel[0]}, '...of shape (1, 3, 3): '),
          # Features are permuted, which must not cut a tensor to fit.
          ({_DENSE: np.ones([4, 128])},
           '...of shape (4, 128): expected the shape (4, 64)'),
          ({_DENSE: np.ones([4, 5])},
           '...of shape (4, 5): expected the shape (4, 64)'),
          ({_FEATURES: np.ones([128])},
           '...of shape (128,): expected the shape (64,)'),
          ({_KERNEL: np.where(kernel == kernel.max(), np.nan, kernel)},
           f'checkpoint.{_KERNEL}=NaN or infinity: expected finite numbers'),
          ({'transforms.0.chain.9.weight': np.ones(1)},
           '...0.chain.9.weight has no variable in the model (1 of 1'),
          ({'transforms.0.chain.1.initialized': np.array(0)}, '...transforms.0'
           '.chain.1.initialized=0: expected 1. ...first batch')])


def test_order_of_latents():
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
  np.testing.assert_array_equal(conversion.to_channels_first(model, z), want)
  np.testing.assert_array_equal(conversion.from_channels_first(model, want), z)
  # The two orders are not each other's.
  assert np.any(conversion.from_channels_first(model, z) != want)
  for reorder in conversion.to_channels_first, conversion.from_channels_first:
    for shape in ((96,), (2, 95), (2, 8, 4, 3), ()):
      testing.check_refusal(
          reorder, {'model': model, 'z': tf.zeros(shape)},
          f'z=a tensor of shape {shape}: expected the shape [B, 96].')
