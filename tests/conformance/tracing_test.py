"""Samples, densities and chains of ever new sizes trace no more than twice.

A graph for every size would cost time at every call, and memory that is never
freed.
"""

import pytest
import tensorflow as tf

from tests import cases
from tests import networks
from tf_resflow import bijectors
from tf_resflow.checks import execution
from tf_resflow.checks import subjects


@pytest.mark.slow
def test_samples_and_densities_of_all_sizes_share_their_graphs():
  case = cases.MODELS['flow_hybrid']
  model = case.make()
  subjects.evaluate(subjects.Instance(model), case.inputs())
  density = model.distribution()

  def use(size):
    x = model.sample(size, seed=size)
    model.bits_per_dim(x)
    model.classify(x)
    density.log_prob(x)
    density.sample(size)

  execution.require_no_more_graphs(use)


def test_a_chain_of_bijectors_traces_no_more():
  chain = bijectors.Chain([
      bijectors.ResidualBlock(networks.dense_g('float32')),
      bijectors.ActNorm([3])])
  execution.require_no_more_graphs(
      lambda size: chain.inverse(chain.forward(tf.ones([size, 3]))))
