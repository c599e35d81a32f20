"""What all bijectors here share: one pass gives value and log-det."""

from typing import Any
import weakref

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import private_apis


class _Handover:
  """Hands the log-determinant that came with an output to the next question.

  TFP computes a `log_prob` through `tfb.Invert(flow)` in two calls: `z =
  flow.forward(x)`, then `flow.inverse_log_det_jacobian(z)`, which without the
  first one would have to solve for `x`. What is kept is handed out once, for
  the very same tensors and arguments, and forgotten with the first of them.
  """

  def __init__(self):
    self._kept = {}

  def keep(self, y, kwargs, log_det):
    tensors = tf.nest.flatten(y)
    key = tuple(map(id, tensors))
    alive = [weakref.ref(t, lambda _: self._kept.pop(key, None))
             for t in tensors]
    self._kept[key] = alive, kwargs, log_det

  def take(self, y, kwargs):
    """Returns the log-determinant that belongs to `y`, or None."""
    tensors = tf.nest.flatten(y)
    alive, kept_kwargs, log_det = self._kept.pop(
        tuple(map(id, tensors)), ([lambda: None] * len(tensors), None, None))
    is_same = _are_same(kwargs, kept_kwargs) and all(
        ref() is t for ref, t in zip(alive, tensors, strict=True))
    return log_det if is_same else None

  def __len__(self):
    return len(self._kept)


def _are_same(a, b):
  if isinstance(a, dict) and isinstance(b, dict):
    return a.keys() == b.keys() and all(_are_same(a[k], b[k]) for k in a)
  return a is b or (not tf.is_tensor(a) and not tf.is_tensor(b) and a == b)


class FlowBijector(tfb.Bijector):
  """Mixin of bijectors that compute a value and its log-det in one pass.

  Subclasses define `transform` and `_inverse`. Values are never remembered:
  trained variables, tapes and draws change from call to call.
  """

  _cache = private_apis.NoCache()

  def transform(self, x: tf.Tensor, event_ndims: int, **kwargs: Any
                ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `forward(x)` and `log|det dy/dx|` over `event_ndims` axes."""
    raise NotImplementedError

  def set_caching(self, caching: bool) -> None:
    """Says whether `log_prob` in two calls evaluates the flow once."""
    self._handover = _Handover() if caching else None

  def _forward(self, x, **kwargs):
    y, log_det = self.transform(x, self.forward_min_event_ndims, **kwargs)
    if self._handover is not None:
      self._handover.keep(y, kwargs, log_det)
    return y

  def _forward_log_det_jacobian(self, x, event_ndims=None, **kwargs):
    if event_ndims is None:
      event_ndims = self.forward_min_event_ndims
    return self.transform(x, event_ndims, **kwargs)[1]

  def _inverse_log_det_jacobian(self, y, event_ndims=None, **kwargs):
    if event_ndims in (None, self.inverse_min_event_ndims):
      log_det = None if self._handover is None else self._handover.take(
          y, kwargs)
      if log_det is not None:
        return -log_det
    return self.invert(
        y, self.inverse_min_event_ndims if event_ndims is None else event_ndims,
        **kwargs)[1]

  def invert(self, y: tf.Tensor, event_ndims: int, **kwargs: Any
             ) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `inverse(y)` and `log|det dx/dy|` over `event_ndims` axes."""
    x = self._inverse(y, **kwargs)
    ndims = self.inverse_event_ndims(event_ndims)
    return x, -self.transform(x, ndims, **kwargs)[1]


def transform(bijector: tfb.Bijector, x: tf.Tensor, event_ndims: int,
              **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns `bijector.forward(x)` and its log-determinant.

  In one pass, where the bijector is of this package or an `Invert` of one.
  """
  return _both(bijector, x, event_ndims, kwargs, is_forward=True)


def invert(bijector: tfb.Bijector, y: tf.Tensor, event_ndims: int,
           **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns `bijector.inverse(y)` and its log-determinant; see `transform`."""
  return _both(bijector, y, event_ndims, kwargs, is_forward=False)


def _both(bijector, value, event_ndims, kwargs, is_forward):
  """See `transform` and `invert`."""
  inner = private_apis.inverted(bijector)
  if inner is not None:
    return _both(inner, value, event_ndims, kwargs, not is_forward)
  names = (('transform', 'forward', 'forward_log_det_jacobian') if is_forward
           else ('invert', 'inverse', 'inverse_log_det_jacobian'))
  one_pass, evaluate, log_det = (
      getattr(bijector, name, None) for name in names)
  if isinstance(bijector, FlowBijector):
    return one_pass(value, event_ndims, **kwargs)
  return evaluate(value, **kwargs), log_det(
      value, event_ndims=event_ndims, **kwargs)
