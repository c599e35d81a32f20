"""The order of layers, and the size of the CIFAR-10 model.

What they compute is compared in tests/conversion/weights_test.py with another
implementation.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tests import symbolic
from tf_resflow import models


def make_flow(**fields):
  fields = {
      'image_shape': (4, 4, 1), 'num_levels': 17, 'num_blocks': (2, 1),
      'hidden_channels': 3, 'num_dense_blocks': 1, 'dense_hidden_units': 4,
      **fields}
  return models.ResidualFlowConfig(**fields).build()


@pytest.mark.parametrize('moving_mean', [False, True])
def test_order_of_layers(moving_mean):
  norms = ['MovingMean', 'ActNorm'] if moving_mean else ['ActNorm']
  flow = make_flow(moving_mean=moving_mean)
  assert [type(layer).__name__ for layer in flow.bijection.leaves()] == [
      'Logit', 'ActNorm', *['ResidualBlock', *norms] * 2, 'Squeeze',
      'ResidualBlock', *norms, 'Flatten', 'ResidualBlock', *norms]


def test_kernels_and_betas():
  flow = make_flow()
  block = flow.certified_bijections[1]
  convolutions = block.g.parts[1::2]
  assert [c.kernel_size for c in convolutions] == [(3, 3), (1, 1), (3, 3)]
  assert [c.filters for c in convolutions] == [3, 3, 1]
  assert {c.coeff for c in flow.constrained_layers} == {0.98}
  betas = [a.beta for a in block.g.parts[::2]]
  assert len({id(beta) for beta in betas}) == 3
  assert {float(beta.numpy()) for beta in betas} == {0.5}
  dense = flow.certified_bijections[-1].g.parts[1::2]
  assert [d.units for d in dense] == [4, 4, 16]


def couplings(flow):
  """Masks of the coupling blocks, and whether they are swapped."""
  return [(b.mask, b.swap) for b in flow.bijection.leaves()
          if hasattr(b, 'mask')]


def test_couplings_without_preprocessing_see_channels():
  flow = make_flow(block='coupling', squeeze_first=True, num_blocks=(1, 1),
                   num_dense_blocks=0, preprocessing='none')
  assert couplings(flow) == [('channel', False)] * 2
  flow = make_flow(block='coupling', squeeze_first=True, num_blocks=(1, 1),
                   num_dense_blocks=0)
  assert couplings(flow)[0] == ('checkerboard', False)


def test_noise_is_standardised_as_the_images_are():
  """By its mean and standard deviation; squeezed noise channels come last."""
  flow = make_flow(
      preprocessing='standardize', mean=(0.4,) * 4, std=(0.3,) * 4,
      noise_channels=2, noise_distribution='gaussian', squeeze_first=True,
      num_blocks=(1,))
  squeeze, standardize = flow.bijection.parts[:2]
  assert standardize.mean == (0.4,) * 4 + (0.5,) * 8
  np.testing.assert_allclose(
      standardize.std, [0.3] * 4 + [0.125] * 8, rtol=2e-3)
  x = tf.random.stateless_uniform([500, 4, 4, 1], [0, 1])
  y, _ = flow.augment(x, seed=0)
  noise = standardize(squeeze(y))[..., 4:]
  np.testing.assert_allclose(np.mean(noise), 0.0, atol=0.03)
  np.testing.assert_allclose(np.std(noise), 1.0, atol=0.03)


def test_weights_follow_the_seed():
  def weights(seed):
    flow = make_flow(seed=seed, condition_labels=3)
    return np.concatenate([v.numpy().ravel() for v in flow.trainable_variables])

  np.testing.assert_array_equal(weights(1), weights(1))
  assert not np.array_equal(weights(1), weights(2))
  kernels = [layer.kernel.numpy() for seed in (0, 1) for layer in make_flow(
      seed=seed, num_dense_blocks=2).constrained_layers]
  same = [
      (i, j) for i in range(len(kernels)) for j in range(i)
      if kernels[i].shape == kernels[j].shape and
      np.array_equal(kernels[i], kernels[j])]
  assert not same


def test_refuses_other_shapes():
  flow = make_flow()
  for method, name, shape, expected in (
      (flow.log_prob, 'x', (2, 4, 4, 2), '[B, 4, 4, 1]'),
      (flow.log_prob, 'x', (2, 8, 8, 1), '[B, 4, 4, 1]'),
      (flow.log_prob, 'x', (4, 4, 1), '[B, 4, 4, 1]'),
      (flow.inverse, 'z', (2, 8), '[B, 16]')):
    assert splits.refusal(method, tf.zeros(shape)).startswith(
        f'{name}=a tensor {shape}: expected {expected}')


def test_latent_shapes():
  flow = make_flow(image_shape=(8, 8, 1), num_blocks=(1, 1, 1), factor_out=True)
  assert flow.latent_shapes == ((4, 4, 2), (2, 2, 4), (2, 2, 4))
  assert make_flow().latent_shapes == ((2, 2, 4),)


def test_equal_blocks_share_their_functions():
  flow = make_flow(num_blocks=(3, 2), num_dense_blocks=2, factor_out=True)
  functions = [b.function for b in flow.certified_bijections]
  # The first block has no leading activation; then one per shape.
  assert len(functions) == 7 and len(set(map(id, functions))) == 4


def test_number_of_parameters():
  """That of the CIFAR-10 model is 25.17 million."""
  def of_scale(channels):
    kernels = 2 * 9 * channels * 512 + 512 * 512
    biases, betas, act_norm = 2 * 512 + channels, 3, 2 * channels
    return 16 * (kernels + biases + betas + act_norm)

  size = 32 * 32 * 3
  dense = 4 * (2 * size * 128 + 128 * 128 + 2 * 128 + size + 3 + 2 * size)
  first_act_norm, first_beta = 2 * 3, 1
  flow = symbolic.build(models.ResidualFlowConfig())
  assert flow.num_parameters == dense + first_act_norm - first_beta + sum(
      map(of_scale, (3, 12, 48)))
  # With values it is the same.
  flow = make_flow()
  assert flow.num_parameters == sum(
      v.numpy().size for v in flow.trainable_variables)
