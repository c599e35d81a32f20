"""The adapter from an invertible Keras layer to a TFP bijector."""

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow.bijectors import caching as caching_lib


class LayerBijector(tfb.Bijector):
  """An invertible layer as a `tfb.Bijector`.

  `forward` is the layer's direction, data to latent: a density is
  `tfd.TransformedDistribution(base, tfb.Invert(bijector))`. The layer owns the
  variables; the bijector lists them, so they are found through any nesting of
  `tfb.Chain`, `tfb.Invert` and distributions.

  Args:
    layer: a `layers.InvertibleLayer` (or a model with the same methods).
    event_shape: shape of one event of `forward`'s input; needed when the
      layer is not built yet.
    event_ndims: rank of the events of `forward`'s input.
    inverse_event_ndims: rank of the events of its output; the same by default.
    forward_event_shape_fn: maps the shape of an event of `forward`'s input to
      that of its output; identity by default.
    inverse_event_shape_fn: the way back.
    seed: Python int or int32 `[2]` that fixes the draws of every call; None
      draws afresh.
    caching: whether the log-determinant that came with `y = forward(x)` answers
      the first `inverse_log_det_jacobian(y)`, see `caching.FlowCache`. Without,
      that one solves for `x` first, in a `log_prob` through `tfb.Invert` too.
    name: name of the bijector, the key of its keyword arguments in a
      `tfb.Chain`.

  Keyword arguments of the methods: `seed` (None, a Python int or int32 `[2]`)
  reaches the log-determinant estimator, as in
  `flow.forward_log_det_jacobian(x, seed=1)` or, inside of a chain,
  `chain.forward(x, residual_block=dict(seed=1))`. Use one name per block to
  seed the blocks of a chain apart.

  Example:
    >>> bijector = bijectors.LayerBijector(
    ...     layers.Standardize([0.5], [0.25]), event_shape=[8, 8, 1],
    ...     event_ndims=3)
    >>> bijector.forward(tf.zeros([2, 8, 8, 1])).numpy().min()
    np.float32(-2.0)
  """

  _cache = caching_lib.FlowCache(
      forward_name='_forward_and_attributes',
      inverse_name='_inverse_and_attributes')

  def __init__(
      self, layer, event_shape=None, event_ndims=1, inverse_event_ndims=None,
      forward_event_shape_fn=None, inverse_event_shape_fn=None, seed=None,
      caching=True, name='layer', parameters=None):
    parameters = dict(locals()) if parameters is None else parameters
    with tf.name_scope(name) as name:
      if not layer.built:
        if event_shape is None:
          raise ValueError(
              f'{name}: the layer has no weights yet, and a bijector reports '
              'its variables from the start. Pass event_shape= (the shape of '
              'one example, without the batch axis) or build the layer.')
        layer.build((None, *event_shape))
      self._layer = layer
      self._seed = seed
      self._forward_event_shape_fn = forward_event_shape_fn or list
      self._inverse_event_shape_fn = inverse_event_shape_fn or list
      # Keras layers are not tf.Modules: without this list a bijector has no
      # variables, and nothing warns.
      self._layer_variables = [v.value for v in layer.variables]
      super().__init__(
          forward_min_event_ndims=event_ndims,
          inverse_min_event_ndims=(
              event_ndims if inverse_event_ndims is None else
              inverse_event_ndims),
          dtype=tf.as_dtype(layer.compute_dtype),
          validate_args=False,
          parameters=parameters,
          name=name)
      if not caching:
        self._cache = caching_lib.NoCache(
            bijector=self, bijector_class=type(self))

  @classmethod
  def _parameter_properties(cls, dtype):
    return {}

  @property
  def layer(self):
    """The Keras layer that computes, and owns the variables."""
    return self._layer

  def _flatten_batch(self, x, event_ndims):
    """Turns any batch shape into one axis; returns the way back."""
    batch_shape = tf.shape(x)[:x.shape.rank - event_ndims]
    static_batch = x.shape[:x.shape.rank - event_ndims]
    flat = tf.reshape(
        x, tf.concat([[-1], tf.shape(x)[x.shape.rank - event_ndims:]], 0))
    flat = tf.ensure_shape(
        flat, [None, *x.shape[x.shape.rank - event_ndims:]])
    if x.shape.rank == event_ndims + 1:
      return x, lambda t: t

    def restore(t):
      shape = tf.concat([batch_shape, tf.shape(t)[1:]], 0)
      return tf.ensure_shape(
          tf.reshape(t, shape), static_batch.concatenate(t.shape[1:]))

    return flat, restore

  def _forward_event_shape(self, input_shape):
    return tf.TensorShape(self._forward_event_shape_fn(input_shape))

  def _inverse_event_shape(self, output_shape):
    return tf.TensorShape(self._inverse_event_shape_fn(output_shape))

  def _forward_event_shape_tensor(self, input_shape):
    return tf.stack(
        self._forward_event_shape_fn(tf.unstack(input_shape)))

  def _inverse_event_shape_tensor(self, output_shape):
    return tf.stack(
        self._inverse_event_shape_fn(tf.unstack(output_shape)))

  def _effective_seed(self, seed):
    return self._seed if seed is None else seed

  def _forward_and_attributes(self, x, seed=None):
    flat, restore = self._flatten_batch(x, self.forward_min_event_ndims)
    y, log_det = self._layer.forward_and_log_det(
        flat, seed=self._effective_seed(seed))
    return restore(y), {'ildj': -restore(log_det)}

  def _inverse_and_attributes(self, y, seed=None):
    del seed  # The inverse draws nothing; its log-det is taken when asked for.
    flat, restore = self._flatten_batch(y, self.inverse_min_event_ndims)
    return restore(self._layer.inverse(flat)), {}

  def _forward(self, x, seed=None):
    return self._forward_and_attributes(x, seed=seed)[0]

  def _inverse(self, y, seed=None):
    return self._inverse_and_attributes(y, seed=seed)[0]

  def _forward_log_det_jacobian(self, x, seed=None):
    return -self._forward_and_attributes(x, seed=seed)[1]['ildj']

  def _inverse_log_det_jacobian(self, y, seed=None):
    # Within a chain, `inverse` knows the source of a `y` that `forward`
    # produced, when asked with the same arguments.
    kwargs = {} if seed is None else {'seed': seed}
    return -self._forward_log_det_jacobian(
        self.inverse(y, **kwargs), **kwargs)
