"""The unit in which a flow's densities are reported."""

import math
from typing import Any

from tf_resflow import errors


class DensityUnit:
  """A density of integers, in bits/dim, or of real numbers, in nats.

  Attributes:
    event_size: number of dimensions D of the data.
    num_levels: number of integer levels n of a pixel; None for real numbers.
  """

  event_size: int
  num_levels: int | None

  @property
  def unit(self) -> str:
    """'bits_per_dim' of images of integers, 'nats' of other data."""
    return 'nats' if self.num_levels is None else 'bits_per_dim'

  def in_unit(self, log_prob: Any) -> Any:
    """Returns what a log-density costs, in `unit`: what training minimises.

    Args:
      log_prob: of the data, nats; an array or a tensor.

    Returns:
      `-log p(x)`, or that per dimension of the integers, see
      `Flow.bits_per_dim`.
    """
    return -log_prob if self.num_levels is None else self.bits_per_dim_of(
        log_prob)

  def log_prob_of(self, cost: Any) -> Any:
    """Returns the log-density in nats that `in_unit` made a cost of."""
    if self.num_levels is None:
      return -cost
    return self.event_size * (
        math.log(self.num_levels) - math.log(2.0) * cost)

  def bits_per_dim_of(self, log_prob: Any) -> Any:
    """Returns `-(log_prob - D log n) / (D log 2)`, see `Flow.bits_per_dim`."""
    errors.check(
        self.num_levels is not None, 'num_levels', None,
        'a number from 2', 'bits_per_dim is defined for integers; use '
        'log_prob.')
    return (
        math.log(self.num_levels) - log_prob / self.event_size) / math.log(2.0)
