"""The base class of bijectors that compute value and log-det in one pass."""

from typing import Any
import weakref

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import private_tfp_apis

# Attribute of tensors with the results of a pass, which live as long as they.
_HANDOVER = '_resflow_handover'


class FlowBijector(tfb.Bijector):
  """Mixin of bijectors that compute a value and its log-det in one pass.

  Subclasses define `transform`, `invert` and `solve`. Values are not cached:
  trained variables, tapes and draws change from call to call. But methods of
  distributions make two calls where one pass suffices, as a `log_prob` through
  `tfb.Invert(flow)` does with `z = flow.forward(x)`, then
  `flow.inverse_log_det_jacobian(z)`, which would have to solve for `x`. So the
  log-determinant that belongs to `z`, or the `x` that was solved for, is reused
  within one call of such a method, by TFP itself: it changes nothing between
  the two, and passes the same keywords to both.
  """

  _cache = private_tfp_apis.NoCache()

  def transform(self, x: Any, event_ndims: int, **kwargs: Any
                ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `forward(x)` and `log|det dy/dx|` over `event_ndims` axes."""
    raise NotImplementedError

  def invert(self, y: Any, event_ndims: int, **kwargs: Any
             ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `inverse(y)` and `log|det dx/dy|` over `event_ndims` axes."""
    raise NotImplementedError

  def solve(self, y: Any, **kwargs: Any) -> tf.Tensor:
    """Returns `inverse(y)`."""
    raise NotImplementedError

  def _hand_over(self, y, log_det=None, x=None):
    """Attaches the results of a pass to `y`, for the present method call."""
    asking = private_tfp_apis.distribution_call()
    if asking is not None:
      parts = tf.nest.flatten(y)
      # Weak references: keeping `y` must not keep the rest of a graph.
      setattr(parts[0], _HANDOVER, (
          weakref.ref(self), asking, [*map(id, parts)], log_det,
          None if x is None else tf.nest.map_structure(weakref.ref, x)))

  def _forward(self, x, **kwargs):
    y, log_det = self.transform(x, self.forward_min_event_ndims, **kwargs)
    self._hand_over(y, log_det)
    return y

  def _inverse(self, y, **kwargs):
    x = self.solve(y, **kwargs)
    self._hand_over(y, x=x)
    return x

  def _forward_log_det_jacobian(self, x, event_ndims=None, **kwargs):
    return self.transform(
        x, self.forward_min_event_ndims if event_ndims is None else event_ndims,
        **kwargs)[1]

  def _inverse_log_det_jacobian(self, y, event_ndims=None, **kwargs):
    least = self.inverse_min_event_ndims
    parts = tf.nest.flatten(y)
    event_ndims = least if event_ndims is None else event_ndims
    owner, asking, ids, log_det, x = getattr(
        parts[0], _HANDOVER, (lambda: None, None, None, None, None))
    if (owner() is self and ids == [*map(id, parts)] and
        asking == private_tfp_apis.distribution_call()):
      if log_det is not None and event_ndims == least:
        return -log_det
      x = tf.nest.map_structure(lambda ref: ref and ref(), x)
      # Unless it has been deleted.
      if None not in tf.nest.flatten(x):
        return -self.transform(
            x, self.inverse_event_ndims(event_ndims), **kwargs)[1]
    return self.invert(y, event_ndims, **kwargs)[1]
