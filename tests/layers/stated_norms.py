"""A layer whose norms are what a test says."""

from tf_resflow import layers


class Half(layers.LipschitzLayer):
  """`x / 2` from one stated norm to another."""

  lipschitz_bound = 0.5

  def __init__(self, domain, codomain):
    super().__init__()
    self.domain, self.codomain = domain, codomain

  def evaluate(self, weights, x):
    return 0.5 * x
