"""What all bijectors here share: one pass gives value and log-det."""

from typing import Any
import weakref

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import private_tfp_apis


class _Handover:
  """Hands the log-determinant that came with an output to the next question.

  TFP computes a `log_prob` through `tfb.Invert(flow)` in two calls: `z =
  flow.forward(x)`, then `flow.inverse_log_det_jacobian(z)`, which without the
  first one would have to solve for `x`. What is kept is handed out once, for
  the very same tensors and arguments, and forgotten with the first of them.
  """

  def __init__(self):
    self._kept = {}

  def keep(self, y: tf.Tensor, kwargs: dict, log_det: tf.Tensor) -> None:
    """Keeps the log-determinant that came with `y` while `y` lives."""
    key = _ids(y)
    # Python tells of the death of a tensor before another can take its id.
    alive = [weakref.ref(t, lambda _: self._kept.pop(key, None))
             for t in tf.nest.flatten(y)]
    self._kept[key] = alive, _snapshot(kwargs), log_det

  def take(self, y: tf.Tensor, kwargs: dict) -> tf.Tensor | None:
    """Returns the log-determinant that belongs to `y`, or None."""
    _, kept_kwargs, log_det = self._kept.pop(_ids(y), (None, None, None))
    return log_det if kept_kwargs is not None and _are_same(
        kwargs, kept_kwargs) else None


def _ids(y):
  return tuple(map(id, tf.nest.flatten(y)))


def _snapshot(value):
  """Returns an argument such that it is known when it has changed."""
  if isinstance(value, dict):
    return {key: _snapshot(v) for key, v in value.items()}
  if isinstance(value, (list, tuple)):
    return [_snapshot(v) for v in value]
  if isinstance(value, np.ndarray):
    return value.copy()
  if hasattr(value, 'assign') and tf.executing_eagerly():
    return np.array(value)
  return value


def _are_same(a, kept):
  """Whether an argument is what it was when `kept` was taken of it."""
  if isinstance(kept, dict):
    return isinstance(a, dict) and a.keys() == kept.keys() and all(
        _are_same(a[k], kept[k]) for k in kept)
  if isinstance(kept, list):
    return isinstance(a, (list, tuple)) and len(a) == len(kept) and all(
        map(_are_same, a, kept))
  if isinstance(kept, np.ndarray):
    return (isinstance(a, np.ndarray) or hasattr(a, 'assign')) and (
        np.array_equal(np.array(a), kept))
  # Comparing tensors takes time, and in a graph has no answer.
  return a is kept or not any(
      tf.is_tensor(t) or isinstance(t, np.ndarray) for t in (a, kept)
  ) and a == kept


class FlowBijector(tfb.Bijector):
  """Mixin of bijectors that compute a value and its log-det in one pass.

  Subclasses define `transform` and `_inverse`. Values are never remembered:
  trained variables, tapes and draws change from call to call.
  """

  _cache = private_tfp_apis.NoCache()

  def transform(self, x: tf.Tensor, event_ndims: int, **kwargs: Any
                ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `forward(x)` and `log|det dy/dx|` over `event_ndims` axes."""
    raise NotImplementedError

  def set_caching(self, caching: bool) -> None:
    """Says whether `log_prob` in two calls evaluates the flow once."""
    self._handover = _Handover() if caching else None

  def _forward(self, x, **kwargs):
    y, log_det = self.transform(x, self.forward_min_event_ndims, **kwargs)
    if self._handover:
      self._handover.keep(y, kwargs, log_det)
    return y

  def _forward_log_det_jacobian(self, x, event_ndims=None, **kwargs):
    return self.transform(
        x, self.forward_min_event_ndims if event_ndims is None else event_ndims,
        **kwargs)[1]

  def _inverse_log_det_jacobian(self, y, event_ndims=None, **kwargs):
    least = self.inverse_min_event_ndims
    log_det = self._handover.take(y, kwargs) if (
        self._handover and event_ndims in (None, least)) else None
    if log_det is not None:
      return -log_det
    return self.invert(
        y, least if event_ndims is None else event_ndims, **kwargs)[1]

  def invert(self, y: tf.Tensor, event_ndims: int, **kwargs: Any
             ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `inverse(y)` and `log|det dx/dy|` over `event_ndims` axes."""
    x = self._inverse(y, **kwargs)
    ndims = self.inverse_event_ndims(event_ndims)
    return x, -self.transform(x, ndims, **kwargs)[1]


def _inverted(bijector):
  """Returns what a `tfb.Invert` turns round; None for another bijector."""
  # Of bijectors that are no composite tensors, such as ours, `tfb.Invert` makes
  # objects of another class.
  return bijector.bijector if isinstance(
      bijector, type(tfb.Invert(bijector))) else None


def value_and_log_det(
    bijector: tfb.Bijector, value: tf.Tensor, event_ndims: int,
    is_forward: bool, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns what a bijector or its inverse makes of a value, and the log-det.

  In one pass, where the bijector is of this package or an `Invert` of one.
  """
  inner = _inverted(bijector)
  if inner is not None:
    return value_and_log_det(
        inner, value, event_ndims, not is_forward, **kwargs)
  if isinstance(bijector, FlowBijector):
    one_pass = bijector.transform if is_forward else bijector.invert
    return one_pass(value, event_ndims, **kwargs)
  if is_forward:
    return bijector.forward(value, **kwargs), bijector.forward_log_det_jacobian(
        value, event_ndims, **kwargs)
  return bijector.inverse(value, **kwargs), bijector.inverse_log_det_jacobian(
      value, event_ndims, **kwargs)
