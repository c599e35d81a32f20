"""Bijections that are composed of others: in sequence, inverted, split."""

from collections.abc import Sequence
import functools
import itertools
import math

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection as bijection_lib
from tf_resflow.layers.bijections import masks
from tf_resflow.layers.bijections.bijection import PassResult
from tf_resflow.layers.bijections.bijection import PassSettings
from tf_resflow.layers.conditions import conditioning


class CompositeBijection(base_layer.Composition, bijection_lib.Bijection):
  """A bijection composed of `parts`, from which its properties follow.

  Subclasses set `parts`, by the constructor or later in theirs, or define them
  as a property of layers that are attributes. They define `with_parts`, unless
  their constructor takes the parts alone, and, if the parts are not applied one
  after another, the two passes, `shapes` and `bi_lipschitz_bounds`.

  Example:
    >>> @layers.configured
    ... class Twice(layers.CompositeBijection):
    ...   def __init__(self, bijection, **kwargs):
    ...     super().__init__([bijection, bijection], **kwargs)
    ...     self.bijection = bijection
    ...   def with_parts(self, parts):
    ...     return Twice(parts[0], name=self.name, dtype=self.dtype_policy)
    >>> Twice(layers.Standardize([0.5], [2.0]))(tf.constant([[2.5]])).numpy()
    array([[0.25]], dtype=float32)
  """

  def leaves(self) -> list[bijection_lib.Bijection]:
    return [b for part in self.parts for b in part.leaves()]

  def with_parts(self, parts: Sequence[bijection_lib.Bijection]
                 ) -> bijection_lib.Bijection:
    """Returns a copy with other parts, and the same name and dtype."""
    return type(self)(parts, name=self.name, dtype=self.dtype_policy)

  def frozen(self) -> bijection_lib.Bijection:
    copy = self.with_parts([part.frozen() for part in self.parts])
    if self.built:
      copy.build_from_config(self.get_build_config())
    return copy

  def _with_settings(self, settings, x):
    """Returns each part with its settings, for a pass of `x`."""
    return [(part, settings) for part in self.parts]

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    result = PassResult(x, bijection_lib.zero_log_det(x))
    for part, own in self._with_settings(settings, x):
      result = result.then(part.forward_pass(result.value, own))
    return result

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    result = PassResult(y, bijection_lib.zero_log_det(y))
    for part, own in reversed(self._with_settings(settings, y)):
      result = result.then(part.inverse_pass(result.value, own))
    return result

  def bi_lipschitz_bounds(self) -> bijection_lib.BiLipschitzBounds:
    return functools.reduce(bijection_lib.BiLipschitzBounds.then,
                            (part.bi_lipschitz_bounds() for part in self.parts),
                            bijection_lib.BiLipschitzBounds(1.0, 1.0))


@base_layer.configured
class SequentialBijection(CompositeBijection):
  """The composition of bijections, the first one applied first.

  Parts with random log-determinants are numbered, and their seeds are
  `fold_in(seed, number)`.

  Args:
    parts: the bijections; those that take a condition take the same one.

  Raises:
    InvalidValueError: if their dtypes differ, or their conditions.

  Example:
    >>> flow = layers.SequentialBijection([
    ...     layers.Standardize([0.5], [0.25]), layers.ActNorm()])
    >>> y, log_det = flow.forward_and_log_det(tf.random.normal([64, 1]))
    >>> flow.inverse(y).shape
    TensorShape([64, 1])
  """

  def __init__(self, parts: Sequence[bijection_lib.Bijection], **kwargs):
    super().__init__(parts, **kwargs)
    conditioning.common_spec(parts)  # Raises if there are several.

  def build(self, input_shape: tuple) -> None:
    super().build(input_shape)
    self.share_traces({})

  def _with_settings(self, settings, x):
    draws = self.is_random and (
        settings.estimator is None or settings.estimator.is_random)
    settings = settings._replace(
        seed=numerics.random.as_seed(settings.seed) if draws else None)
    numbers = itertools.count()
    return [
        (part, settings._replace(seed=numerics.random.fold_in(
            settings.seed, next(numbers))) if draws and part.is_random
         else settings) for part in self.parts]


@base_layer.configured
class Inverse(CompositeBijection):
  """The inverse `f^-1` of a bijection `f`, with its two passes swapped.

  Of a residual block it is an implicit block: `y` solves `y + g(y) = x`, and
  its slopes lie in `[1 / (1 + L), 1 / (1 - L)]` with `L = Lip(g)`. Residual
  blocks and such inverses in turn are an implicit flow.

  Args:
    bijection: `f`, which keeps the shape of events or is built.

  Raises:
    InvalidValueError: if `f` has data-dependent weights, as an ActNorm does,
      since these are set in forward passes of `f`.

  Example:
    >>> g = keras.Sequential([
    ...     layers.SpectralDense(32), layers.LipSwish(),
    ...     layers.SpectralDense(2)])
    >>> block = layers.Inverse(layers.ResidualBlock(g))
    >>> y, log_det = block.forward_and_log_det(tf.ones([5, 2]))
    >>> np.allclose(block.inverse(y), 1.0, atol=1e-4)
    True

  References:
    Lu et al., 2021, Implicit Normalizing Flows, Section 4.1.
  """

  def __init__(self, bijection: bijection_lib.Bijection, **kwargs):
    kwargs.setdefault('dtype', bijection.compute_dtype)
    super().__init__(**kwargs)
    names = [b.name for b in bijection.leaves() if b.is_data_dependent]
    errors.check(
        not names, 'bijection', ', '.join(names), problem='cannot be used in '
        'an Inverse: batches set its weights',
        advice='Put it next to the Inverse.')
    self.bijection = bijection

  @property
  def parts(self) -> list[bijection_lib.Bijection]:
    return [self.bijection]

  @property
  def num_solves(self) -> tuple[int, int]:
    return self.bijection.num_solves[::-1]

  def with_parts(self, parts: Sequence[bijection_lib.Bijection]
                 ) -> bijection_lib.Bijection:
    return Inverse(*parts, name=self.name, dtype=self.dtype_policy)

  def build(self, input_shape: tuple) -> None:
    shape = self.compute_output_shape(input_shape)
    base_layer.build_once(self.bijection, shape)
    found = tuple(self.bijection.compute_output_shape(shape))[1:]
    errors.check(
        found == tuple(input_shape[1:]), 'input_shape', tuple(input_shape),
        f'events {found}, as {self.bijection.name} returns')

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    if not self.bijection.built:
      return tuple(input_shape)
    shape = self.bijection.get_build_config()['input_shape']
    return input_shape[0], *shape[1:]

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    return self.bijection.inverse_pass(x, settings)

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    return self.bijection.forward_pass(y, settings)

  def bi_lipschitz_bounds(self) -> bijection_lib.BiLipschitzBounds:
    bounds = self.bijection.bi_lipschitz_bounds()
    return bounds._replace(
        lower=1.0 / bounds.upper,
        upper=1.0 / bounds.lower if bounds.lower else float('inf'))


@base_layer.configured
class FactorOut(CompositeBijection):
  """Factors out half of the channels; a bijection transforms the others.

    y = [flatten(x[..., c:]), flatten(rest(x[..., :c]))],  c = channels // 2

  with the log-determinant of `rest`.

  Args:
    rest: the bijection of the first half of the channels, rounded down.
    num_taps: how often the part factored out is a feature, see `FeatureTap`.

  Example:
    >>> layer = layers.FactorOut(layers.ActNorm())
    >>> y, log_det = layer.forward_and_log_det(tf.random.normal([64, 2, 2, 4]))
    >>> y.shape, layer.inverse(y).shape
    (TensorShape([64, 16]), TensorShape([64, 2, 2, 4]))

  References:
    Dinh et al., 2017, Real NVP, Section 3.6.
  """

  keeps_shape = False

  def __init__(self, rest: bijection_lib.Bijection, num_taps: int = 0,
               **kwargs):
    kwargs.setdefault('dtype', rest.compute_dtype)
    super().__init__(**kwargs)
    self.rest = rest
    self.num_taps = num_taps

  @property
  def parts(self) -> list[bijection_lib.Bijection]:
    return [self.rest]

  def with_parts(self, parts: Sequence[bijection_lib.Bijection]
                 ) -> bijection_lib.Bijection:
    return FactorOut(
        parts[0], self.num_taps, name=self.name, dtype=self.dtype_policy)

  def build(self, input_shape: tuple) -> None:
    *shape, channels = input_shape[1:]
    self._halves = masks.Channel(input_shape[1:])
    self._leaving_shape = (*shape, channels - channels // 2)
    kept_shape = (None, *self._halves.network_shape)
    base_layer.build_once(self.rest, kept_shape)
    self._rest_shape = tuple(self.rest.compute_output_shape(kept_shape)[1:])

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return input_shape[0], math.prod(input_shape[1:])

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    kept, leaving = self._halves.split(x)
    result = self.rest.forward_pass(kept, settings)
    size = tf.shape(x)[0]
    return result._replace(
        value=tf.concat([
            tf.reshape(leaving, [size, math.prod(self._leaving_shape)]),
            tf.reshape(result.value, [size, math.prod(self._rest_shape)])],
                        axis=1),
        features=(leaving,) * self.num_taps + result.features)

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    size = tf.shape(y)[0]
    leaving, rest = tf.split(y, [
        math.prod(self._leaving_shape), math.prod(self._rest_shape)], axis=1)
    result = self.rest.inverse_pass(
        tf.reshape(rest, [size, *self._rest_shape]), settings)
    return result._replace(value=self._halves.join(
        result.value, tf.reshape(leaving, [size, *self._leaving_shape])))

  def bi_lipschitz_bounds(self) -> bijection_lib.BiLipschitzBounds:
    bounds = self.rest.bi_lipschitz_bounds()
    return bounds._replace(
        lower=min(bounds.lower, 1.0), upper=max(bounds.upper, 1.0))
