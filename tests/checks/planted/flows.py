"""Flows and bijectors that lack one property each."""

from tests.checks.planted import bijections as planted_bijections
from tests.checks.planted import defects
from tests.checks.planted import sound
from tf_resflow import bijectors
from tf_resflow import models
from tf_resflow.checks import bijections
from tf_resflow.checks import storage


@defects.lacks(bijections.base_density_plus_log_det_is_log_prob, 'log_prob is')
class Overstates(models.Flow):
  """Its density does not integrate to 1."""

  def __init__(self, bijection=None, event_shape=(3,), *arguments, dtype=None,
               **kwargs):
    super().__init__(bijection or sound.Scale(dtype=dtype), event_shape,
                     *arguments, dtype=dtype, **kwargs)

  def log_prob(self, *arguments, **kwargs):
    return super().log_prob(*arguments, **kwargs) + 1.0


@defects.lacks(storage.keras_files_hold_everything, 'an output of the file is')
class StoresTooLittle(models.Flow):
  """Its bijection loses its arguments."""

  def __init__(self, bijection=None, event_shape=(3,), *arguments, dtype=None,
               **kwargs):
    super().__init__(
        bijection or planted_bijections.LosesItsArguments(dtype=dtype),
        event_shape, *arguments, dtype=dtype, **kwargs)


@defects.lacks(bijections.log_dets_of_both_directions_are_opposite,
               'inverse_log_det_jacobian is')
class OneWay(bijectors.ActNorm):
  """A bijector whose second log-determinant has the sign of the first."""

  def __init__(self, dtype=None):
    super().__init__([3], dtype=dtype)

  def _inverse_log_det_jacobian(self, y, **kwargs):
    return -super()._inverse_log_det_jacobian(y, **kwargs)
