"""Elementwise activations hold between norms of every order."""

import pytest
import tensorflow as tf

from tf_resflow import layers


class Sine(layers.Elementwise):
  """The shortest activation that a user can write."""

  lipschitz_bound = 1.0

  def evaluate(self, weights, x):
    return tf.sin(x)


def test_an_activation_of_a_few_lines():
  sine, x = Sine(), tf.constant([[0.5, 1.0]])
  assert sine(x).numpy().tolist() == tf.sin(x).numpy().tolist()
  assert sine.norm_estimate() == sine.lipschitz_bound == 1.0
  assert sine.certificate() == layers.Certificate(1.0)
  assert not sine.constrained_layers() and int(sine.save_norms()) == 0
  block = layers.ResidualBlock(layers.Sequence([
      layers.SpectralDense(2, coeff=0.5), sine]))
  assert block.lipschitz_bound == 0.5
  assert block.inverse(block(x)).numpy() == pytest.approx(x.numpy(), abs=1e-5)


@pytest.mark.parametrize('order', [1.0, 2.0, float('inf')])
def test_joins_norms_of_every_order(order):

  class Linear(Sine):
    domain = codomain = order

  sequence = layers.Sequence([Linear(), Sine(), Linear()])
  assert sequence.domain == sequence.codomain == order
