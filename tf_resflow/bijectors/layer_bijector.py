"""The adapter from an invertible Keras layer to a TFP bijector."""

from collections.abc import Sequence
import functools
import logging
from typing import Any

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow import private_tfp_apis
from tf_resflow.bijectors import flow_bijector
from tf_resflow.layers.bijections import bijection
from tf_resflow.numerics import random

_warn_once = functools.cache(logging.getLogger(__name__).warning)


class LayerBijector(flow_bijector.FlowBijector):
  """A bijection of `layers` as a `tfb.Bijector`.

  `forward` is the layer's direction, data to latent: a density is
  `tfd.TransformedDistribution(base, tfb.Invert(bijector))`. The layer owns the
  variables; the bijector lists them, so they are found through any nesting of
  `tfb.Chain`, `tfb.Invert` and distributions.

  Args:
    layer: a `layers.Bijection`.
    event_shape: shape of one event of `forward`'s input.
    seed: Python int or int32 `[2]` that fixes the draws of every call; with
      None they differ.
    estimator: of log-determinants, or its spec, for calls without one; the
      layer's own by default.
    name: name of the bijector, the key of its keyword arguments in a
      `tfb.Chain`.

  Attributes:
    layer: the Keras layer, which owns the variables.

  Keyword arguments of the methods are those of `layers.Bijection`: `condition`,
  `seed` (None, a Python int or int32 `[2]`), `estimator` and `solver`, as in
  `flow.forward_log_det_jacobian(x, estimator='exact')` or, inside of a chain,
  `chain.forward(x, residual_block=dict(seed=1))`. Give the blocks of a chain
  different names to seed them separately. Conditions have a batch shape that
  broadcasts with that of `x`; without one, a condition is that of all examples.

  Example:
    >>> bijector = bijectors.LayerBijector(
    ...     layers.Standardize([0.5], [0.25]), event_shape=[8, 8, 1])
    >>> bijector.forward(tf.zeros([2, 8, 8, 1])).numpy().min()
    np.float32(-2.0)
  """

  def __init__(
      self, layer: layers.Bijection, event_shape: Sequence[int],
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
      name: str = 'layer', parameters: dict[str, Any] | None = None):
    parameters = dict(locals()) if parameters is None else parameters
    with tf.name_scope(name) as name:
      self._input_shape = list(bijection.event_shape_of(event_shape))
      layers.build_once(layer, (None, *self._input_shape))
      self._output_shape = list(
          layer.compute_output_shape((None, *self._input_shape))[1:])
      self.layer = layer
      self._settings = {'seed': seed, 'estimator': estimator}
      # Keras layers are not tf.Modules: without this list a bijector has no
      # variables, and nothing warns.
      self._layer_variables = [v.value for v in layer.variables]
      super().__init__(
          forward_min_event_ndims=len(self._input_shape),
          inverse_min_event_ndims=len(self._output_shape),
          dtype=tf.as_dtype(layer.compute_dtype),
          validate_args=False,
          parameters=parameters,
          name=name)

  @classmethod
  def _parameter_properties(cls, dtype) -> dict[str, Any]:
    return {}

  def certificate(self) -> numerics.Certificate:
    """Returns a guaranteed upper bound of `Lip(g)` for the present weights.

    For the residual block within, see `layers.LipschitzLayer.certificate`.

    Raises:
      InvalidValueError: if there is no residual block, or several.
    """
    blocks = [b for b in self.layer.leaves() if b.has_certificate]
    errors.check(
        len(blocks) == 1, 'layer', self.layer.name,
        f'one with one residual block, not {len(blocks)}',
        'Certify each block, or use Flow.lipschitz_bounds().')
    return blocks[0].certificate()

  def _flatten_batch(self, x, event_ndims, condition=None):
    """Flattens the batch shape into one axis, that of the condition as well.

    A condition without one is that of all examples, or refused by the layer.

    Returns:
      `x`, the condition, and the function that restores the batch shape.
    """
    has_batch = False
    if condition is not None:
      spec = self.layer.condition_spec
      if spec is None:
        raise errors.InvalidValueError(
            'condition', problem=f'cannot be used with {self.name}',
            advice='It does not depend on one.')
      condition = spec.of_any_shape(condition, self.dtype)
      has_batch = (condition.shape.rank or 0) > len(spec.shape)
      if has_batch:
        x, condition = self._broadcast(
            (x, event_ndims), (condition, len(spec.shape)))
    rank = x.shape.rank - event_ndims
    if rank == 1:
      return x, condition, lambda t: t

    def restore(t):
      shape = tf.concat([tf.shape(x)[:rank], tf.shape(t)[1:]], 0)
      return tf.ensure_shape(
          tf.reshape(t, shape), x.shape[:rank].concatenate(t.shape[1:]))

    def flatten(t):
      flat = tf.reshape(t, tf.concat([[-1], tf.shape(t)[rank:]], 0))
      return tf.ensure_shape(flat, [None, *t.shape[rank:]])

    return flatten(x), flatten(condition) if has_batch else condition, restore

  def _broadcast(self, *parts):
    """Broadcasts pairs of tensor and `event_ndims` to a common batch shape."""
    batches = [t.shape[:t.shape.rank - ndims] for t, ndims in parts]
    if batches[0].is_fully_defined() and batches[0] == batches[1]:
      return [t for t, _ in parts]
    try:
      tf.broadcast_static_shape(*batches)
    except ValueError:
      raise errors.InvalidValueError(
          'condition', f'batch shape {batches[1]}', 'one that broadcasts with '
          f'{batches[0]}, that of the inputs of {self.name}') from None
    shape = tf.broadcast_dynamic_shape(*(
        tf.shape(t)[:batch.rank]
        for (t, _), batch in zip(parts, batches, strict=True)))
    return [
        tf.broadcast_to(t, tf.concat([shape, tf.shape(t)[batch.rank:]], 0))
        for (t, _), batch in zip(parts, batches, strict=True)]

  def _forward_event_shape(self, shape):
    return shape[:-len(self._input_shape)].concatenate(self._output_shape)

  def _inverse_event_shape(self, shape):
    return shape[:-len(self._output_shape)].concatenate(self._input_shape)

  def _forward_event_shape_tensor(self, shape):
    return tf.concat([shape[:-len(self._input_shape)], self._output_shape], 0)

  def _inverse_event_shape_tensor(self, shape):
    return tf.concat([shape[:-len(self._output_shape)], self._input_shape], 0)

  def transform(self, x: Any, event_ndims: int, **kwargs: Any
                ) -> tuple[tf.Tensor, tf.Tensor]:
    return self._evaluate(
        self.layer.forward_and_log_det, x, self.forward_min_event_ndims,
        event_ndims, **kwargs)

  def invert(self, y: Any, event_ndims: int, **kwargs: Any
             ) -> tuple[tf.Tensor, tf.Tensor]:
    return self._evaluate(
        self.layer.inverse_and_log_det, y, self.inverse_min_event_ndims,
        event_ndims, **kwargs)

  def _evaluate(self, pass_fn, value, least, event_ndims, condition=None,
                solver=None, **kwargs):
    """Returns value and log-det of a pass, over `event_ndims` axes."""
    errors.check(
        least <= event_ndims <= value.shape.rank, 'event_ndims', event_ndims,
        f'{least} to {value.shape.rank} in {self.name}', 'It is the number of '
        'axes of an event.')
    flat, condition, restore = self._flatten_batch(value, least, condition)
    given = {name: v for name, v in kwargs.items() if v is not None}
    settings = self._settings | given
    used = layers.PassSettings.of(estimator=settings['estimator']).estimator
    estimators = self.layer.estimators() if used is None else [used]
    if (self.layer.is_random and settings['seed'] is None and
        any(e.is_random for e in estimators) and
        private_tfp_apis.compares_values()):
      _warn_once(
          'A Markov chain or a line search compares random estimates of log p: '
          "its result is biased. Give bijectors estimator='exact', or log_prob "
          "bijector_kwargs={'estimator': 'exact'}, under the names of parts "
          'of a Chain. A fixed seed makes values repeatable, not right.')
    result, log_det = pass_fn(flat, condition, solver=solver, **settings)
    # Axes of the batch that count as those of an event.
    axes = list(range(least - event_ndims, 0))
    return restore(result), tf.reduce_sum(restore(log_det), axis=axes)

  def solve(self, y: Any, condition: Any = None, *,
            seed: random.SeedLike = None,
            estimator: layers.EstimatorLike = None,
            solver: layers.SolverLike = None) -> tf.Tensor:
    del seed, estimator  # The inverse draws nothing.
    flat, condition, restore = self._flatten_batch(
        y, self.inverse_min_event_ndims, condition)
    return restore(self.layer.inverse(flat, condition, solver=solver))
