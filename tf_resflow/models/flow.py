"""What all flows share: densities, samples and certificates."""

import contextlib
import math
from typing import NamedTuple

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.numerics import random


class BlockBound(NamedTuple):
  """Lipschitz constants of the `g` of one residual block.

  Attributes:
    name: of the block.
    power_iteration: product of the layers' norms as power iteration sees them
      (from below, to a relative 1e-3) and of the activations' constants.
    certificate: product of guaranteed upper bounds; None if uncertified.
    methods: how every layer was certified, or ('asserted',).
  """

  name: str
  power_iteration: float
  certificate: float | None
  methods: tuple


class Flow(keras.Model):
  """A chain of invertible layers from events to latents `[D]`.

  Subclasses define `forward_and_log_det`, `inverse` and `invertible_layers`.
  The base distribution is a standard normal on `[D]`.

  Args:
    event_shape: shape of an event.
    num_levels: number of integer levels of a pixel, for `bits_per_dim`; None
      for continuous data.
    **kwargs: of `keras.Model`.
  """

  def __init__(self, event_shape, num_levels=None, **kwargs):
    super().__init__(**kwargs)
    self.event_shape = tuple(event_shape)
    self.event_size = math.prod(event_shape)
    self.num_levels = num_levels

  def _track_layers(self):
    """Shows the layers to `tf.train.Checkpoint`; ends every constructor.

    Keras tracks layers in lists for its own files only: without this a
    checkpoint of the model would hold no weights, and nothing would warn.
    """
    self._tracked_layers = tf.Module(name='layers')
    for layer in [*self.invertible_layers, *self.classifier_layers]:
      setattr(self._tracked_layers, layer.name, layer)

  def _check_events(self, x, event_shape, name):
    """Returns `x` as a tensor `[B, *event_shape]`."""
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
      raise ValueError(
          f'{self.name} got {name} of dtype {x.dtype.name}; expected floats. '
          'datasets.dequantize turns integers into [0, 1).')
    x = tf.cast(x, tf.as_dtype(self.compute_dtype))
    if not x.shape.is_compatible_with([None, *event_shape]):
      raise ValueError(
          f'{self.name} got {name} of shape {x.shape}; expected '
          f'[B, {", ".join(map(str, event_shape))}].')
    return x

  @property
  def invertible_layers(self):
    """The layers in the order of the forward direction."""
    raise NotImplementedError

  @property
  def classifier_layers(self):
    """The layers of a classifier beside the bijection; none by default."""
    return []

  @property
  def residual_blocks(self):
    """The residual blocks in the order of the forward direction."""
    return [
        layer for layer in self.invertible_layers
        if isinstance(layer, layers.ResidualBlock)
    ]

  @property
  def spectral_layers(self):
    """Every layer whose operator norm is constrained."""
    return [
        layer for layer in self._flatten_layers()
        if isinstance(layer, layers.SpectralLayer)
    ]

  def forward_and_log_det(self, x, seed=None, log_det=None):
    """Returns latents and an estimate of `log|det dz/dx|`.

    Args:
      x: `[B, ...]`, images dequantised to [0, 1).
      seed: None (fresh draws at every execution), a Python int or int32 `[2]`.
      log_det: an estimator to use in place of the configured one.

    Returns:
      `z`: `[B, D]`; `log_det`: `[B]`, nats.
    """
    raise NotImplementedError

  def inverse(self, z, solver=None, on_block=None):
    """Returns `x` with `forward(x) = z`.

    Args:
      z: `[B, D]`.
      solver: a solver to use in place of the blocks' own.
      on_block: called as `on_block(block, y, solution)` for every residual
        block instead of raising when it does not converge.

    Raises:
      tf.errors.InvalidArgumentError: when an example does not converge and
        there is no `on_block`.
    """
    raise NotImplementedError

  def call(self, inputs):
    return self.forward_and_log_det(inputs)[0]

  def _run_layers(self, stack, x, total, seed, log_det, counter):
    """Folds layers over `x`; every residual block draws from its own seed."""
    for layer in stack:
      if isinstance(layer, layers.ResidualBlock):
        x, term = layer.forward_and_log_det(
            x, seed=random.fold_in(seed, next(counter)), log_det=log_det)
      else:
        x, term = layer.forward_and_log_det(x)
      total += term
    return x, total

  def _invert_layers(self, stack, y, solver, on_block):
    """Undoes layers, last first; see `inverse`."""
    for layer in reversed(stack):
      if not isinstance(layer, layers.ResidualBlock):
        y = layer.inverse(y)
        continue
      solution = layer.solve_inverse(y, solver)
      if on_block is None:
        y = numerics.check_converged(
            solution, layer.name, solver or layer.solver).x
      else:
        on_block(layer, y, solution)
        y = solution.x
    return y

  def base_log_prob(self, z):
    """Returns the log-density of latents `[B, D]` under the base, `[B]`."""
    return -0.5 * tf.reduce_sum(
        z * z + math.log(2.0 * math.pi), axis=1)

  def log_prob(self, x, seed=None, log_det=None):
    """Returns an unbiased estimate of `log p(x)`.

    Args:
      x: `[B, ...]`.
      seed: see `forward_and_log_det`.
      log_det: an estimator to use in place of the configured one.

    Returns:
      `[B]`, nats.
    """
    z, total = self.forward_and_log_det(x, seed=seed, log_det=log_det)
    return self.base_log_prob(z) + total

  def bits_per_dim(self, x, seed=None, log_det=None):
    """Returns `-(log p(x) - D log n) / (D log 2)` for dequantised images.

    Args:
      x: `[B, ...]`, `(X + U) / n` for integers `X` in {0, ..., n - 1} and
        uniform `U`.
      seed: see `forward_and_log_det`.
      log_det: an estimator to use in place of the configured one.

    Returns:
      `[B]`, bits per dimension; its mean over `U` bounds that of the integers
      from above (Theis et al., 2015).

    Raises:
      ValueError: if the model has no `num_levels`.
    """
    if self.num_levels is None:
      raise ValueError(
          'bits_per_dim is defined for integers, but this flow has no '
          'num_levels; use log_prob.')
    return self.bits_per_dim_of(self.log_prob(x, seed=seed, log_det=log_det))

  def bits_per_dim_of(self, log_prob):
    """Returns `-(log_prob - D log n) / (D log 2)`, see `bits_per_dim`."""
    nats_per_dim = math.log(self.num_levels) - log_prob / self.event_size
    return nats_per_dim / math.log(2.0)

  def sample(self, num_samples, seed=None, temperature=1.0, solver=None):
    """Draws from the flow.

    Args:
      num_samples: Python int or int32 scalar.
      seed: None, a Python int or int32 `[2]`.
      temperature: standard deviation of the latents (the reduced entropy of
        the paper's Figure 7 below one).
      solver: a solver to use in place of the blocks' own.

    Returns:
      `[num_samples, ...]`.
    """
    z = temperature * random.normal(
        [num_samples, self.event_size], random.as_seed(seed),
        tf.as_dtype(self.compute_dtype))
    return self.inverse(z, solver=solver)

  def bijector(self, name='residual_flow'):
    """Returns the flow as a `tfb.Bijector` from events to latents `[D]`."""
    return bijectors.LayerBijector(
        self, event_shape=self.event_shape, event_ndims=len(self.event_shape),
        inverse_event_ndims=1, name=name,
        forward_event_shape_fn=lambda shape: [self.event_size],
        inverse_event_shape_fn=lambda shape: list(self.event_shape))

  def distribution(self):
    """Returns the density as a `tfd.TransformedDistribution` of events."""
    base = tfd.MultivariateNormalDiag(
        tf.zeros([self.event_size], tf.as_dtype(self.compute_dtype)))
    return tfd.TransformedDistribution(base, tfb.Invert(self.bijector()))

  @contextlib.contextmanager
  def frozen(self):
    """Inside, all residual blocks compute with the weights they have on entry.

    See `layers.ResidualBlock.frozen`.
    """
    with contextlib.ExitStack() as stack:
      for block in self.residual_blocks:
        stack.enter_context(block.frozen())
      yield

  def save_singular_vectors(self):
    """Stores the singular vectors of the present kernels; saves time only."""
    for layer in self.spectral_layers:
      layer.save_singular_vectors()

  def lipschitz_bounds(self, certify=True):
    """Returns the Lipschitz constants of every residual block.

    Args:
      certify: whether to compute guaranteed upper bounds; for large images
        that takes minutes.

    Returns:
      A list of `BlockBound`.
    """
    return [_block_bound(block, certify) for block in self.residual_blocks]


def _block_bound(block, certify):
  """See `Flow.lipschitz_bounds`."""
  if block.asserted_bound is not None:
    bound = block.asserted_bound
    return BlockBound(block.name, bound, bound, ('asserted',))
  estimate, certificate, methods = 1.0, 1.0, []
  parts = block.g.layers
  num_linear = sum(isinstance(p, layers.SpectralLayer) for p in parts)
  for part in parts:
    if isinstance(part, layers.SpectralLayer):
      estimate *= min(float(part.sigma()), part.coeff)
      if certify:
        # A layer that is good enough leaves the block below one.
        result = part.certificate(target=0.9999**(1.0 / num_linear))
        methods.append(result.method)
        certificate *= result.bound
    else:
      constant = layers.known_bound(part)
      estimate *= constant
      certificate *= constant
  return BlockBound(
      block.name, estimate, certificate if certify else None, tuple(methods))
