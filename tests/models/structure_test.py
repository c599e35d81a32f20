"""The order of layers and latents, and the size of the CIFAR-10 model."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import layers
from tf_resflow import models


def make_flow(**fields):
  fields = {
      'image_shape': (4, 4, 1), 'num_levels': 17, 'num_blocks': (2, 1),
      'hidden_channels': 3, 'dense_hidden_units': 4, **fields}
  return models.ResidualFlow(models.ResidualFlowConfig(**fields))


def kinds(stack):
  return [type(layer).__name__ for layer in stack]


def parts(block):
  return kinds(block.g.layers)


CONV = ['SpectralConv2D', 'LipSwish'] * 2 + ['SpectralConv2D']
DENSE = ['LipSwish', 'SpectralDense'] * 3


def test_order_of_layers():
  flow = make_flow()
  assert kinds(flow.scales[0]) == [
      'Logit', 'ActNorm', *['ResidualBlock', 'ActNorm'] * 2, 'Squeeze']
  assert kinds(flow.scales[1]) == ['ResidualBlock', 'ActNorm']
  assert kinds(flow.dense_stack) == ['ResidualBlock', 'ActNorm'] * 4


def test_only_the_very_first_block_has_no_leading_activation():
  blocks = make_flow().residual_blocks
  assert parts(blocks[0]) == CONV
  for block in blocks[1:3]:
    assert parts(block) == ['LipSwish', *CONV]
  for block in blocks[3:]:
    assert parts(block) == DENSE


def test_kernels_and_betas():
  flow = make_flow()
  block = flow.residual_blocks[1]
  convolutions = block.g.layers[1::2]
  assert [c.kernel_size for c in convolutions] == [(3, 3), (1, 1), (3, 3)]
  assert [c.filters for c in convolutions] == [3, 3, 1]
  assert {c.coeff for c in flow.spectral_layers} == {0.98}
  betas = [a.beta for a in block.g.layers[::2]]
  assert len({id(beta) for beta in betas}) == 3
  assert {float(beta.numpy()) for beta in betas} == {0.5}
  dense = flow.residual_blocks[-1].g.layers[1::2]
  assert [d.units for d in dense] == [4, 4, 16]


def test_variants():
  flow = make_flow(
      squeeze_first=True, act_norm=False, num_dense_blocks=0, activation='elu',
      num_blocks=(1, 1))
  assert kinds(flow.scales[0]) == [
      'Logit', 'Squeeze', 'ResidualBlock', 'Squeeze']
  assert kinds(flow.scales[1]) == ['ResidualBlock']
  assert flow.dense_stack == []
  assert 'ELU' in parts(flow.residual_blocks[0])
  standardized = make_flow(
      preprocessing='standardize', mean=(0.5,), std=(0.2,))
  assert isinstance(standardized.scales[0][0], layers.Standardize)


def test_weights_follow_the_seed():
  def weights(seed):
    flow = make_flow(seed=seed)
    return np.concatenate(
        [v.numpy().ravel() for v in flow.trainable_variables])

  np.testing.assert_array_equal(weights(1), weights(1))
  assert not np.array_equal(weights(1), weights(2))
  kernels = [layer.kernel.numpy() for layer in make_flow().spectral_layers]
  same = [
      (i, j) for i in range(len(kernels)) for j in range(i)
      if kernels[i].shape == kernels[j].shape and
      np.array_equal(kernels[i], kernels[j])]
  assert not same


def zero_kernels(flow):
  """Turns every residual block into the identity."""
  for layer in flow.spectral_layers:
    layer.kernel.assign(tf.zeros_like(layer.kernel.value))
    layer.bias.assign(tf.zeros_like(layer.bias.value))


def test_latents_leave_in_order():
  """Second halves of the channels first, scale by scale, then the rest."""
  flow = make_flow(
      image_shape=(8, 8, 1), num_blocks=(1, 1, 1), factor_out=True,
      num_dense_blocks=0, act_norm=False)
  zero_kernels(flow)
  x = tf.random.stateless_uniform([2, 8, 8, 1], [0, 1])
  z, log_det = flow.forward_and_log_det(x, seed=0)
  logit, logit_log_det = layers.Logit(0.05).forward_and_log_det(x)
  first = layers.Squeeze()(logit)
  second = layers.Squeeze()(first[..., :2])
  expected = tf.concat([
      tf.reshape(t, [2, -1])
      for t in (first[..., 2:], second[..., 4:], second[..., :4])], axis=1)
  np.testing.assert_allclose(z, expected, rtol=1e-6)
  np.testing.assert_allclose(log_det, logit_log_det, rtol=1e-6)
  assert z.shape == [2, 64]


def test_inverse_takes_all_latents():
  flow = make_flow(factor_out=True)
  flow.log_prob(tf.random.stateless_uniform([8, 4, 4, 1], [0, 1]))
  z = tf.random.stateless_normal([2, 16], [0, 2])
  x = flow.inverse(z)
  np.testing.assert_allclose(
      flow.forward_and_log_det(tf.identity(x), seed=0)[0], z, atol=1e-4)
  # Every latent matters.
  for i in range(16):
    moved = flow.inverse(z + 0.5 * tf.one_hot([i], 16))
    assert np.abs(moved - x).max() > 1e-4


@pytest.mark.parametrize('shape', [(2, 4, 4, 2), (2, 8, 8, 1), (4, 4, 1)])
def test_refuses_other_images(shape):
  with pytest.raises(ValueError, match=r'expected \[B, 4, 4, 1\]'):
    make_flow().log_prob(tf.zeros(shape))


def test_refuses_another_number_of_latents():
  with pytest.raises(ValueError, match=r'z of shape \(2, 8\).*\[B, 16\]'):
    make_flow().inverse(tf.zeros([2, 8]))


def test_number_of_parameters_of_the_cifar10_model():
  flow = models.ResidualFlow(models.ResidualFlowConfig())
  num_parameters = sum(
      int(np.prod(v.shape)) for v in flow.trainable_variables)
  assert abs(num_parameters - 25.17e6) < 25.17e3
