"""The base of elementwise activations."""

from tf_resflow.layers.lipschitz import lipschitz_layer


class Elementwise(lipschitz_layer.LipschitzLayer):
  """An activation that maps every number on its own.

  Its largest slope is its Lipschitz constant in every l_p.

  Example:
    >>> class Sine(layers.Elementwise):
    ...   lipschitz_bound = 1.0
    ...   def evaluate(self, weights, x):
    ...     return tf.sin(x)
    >>> layers.Sequence([layers.SpectralDense(2, coeff=0.5), Sine()]
    ...     ).lipschitz_bound
    0.5
  """

  domain = None
  codomain = None
