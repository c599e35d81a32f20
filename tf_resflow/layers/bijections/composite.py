"""Bijections that are made of others."""

from collections.abc import Sequence
import functools

from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.conditions import conditioning


class Composite(bijection.Bijection):
  """A bijection of `parts`, which do all that it does not do itself.

  Subclasses define `parts`, `with_parts`, the two passes and `slope_bounds`.
  """

  @functools.cached_property
  def is_random(self) -> bool:
    return any(part.is_random for part in self.parts)

  @functools.cached_property
  def has_moving_statistics(self) -> bool:
    return any(part.has_moving_statistics for part in self.parts)

  @functools.cached_property
  def keeps_shape(self) -> bool:
    return all(part.keeps_shape for part in self.parts)

  @functools.cached_property
  def condition_spec(self) -> conditioning.ConditionSpec | None:
    return conditioning.common_spec(self.parts)

  def elementary(self) -> list[bijection.Bijection]:
    return [b for part in self.parts for b in part.elementary()]

  def with_parts(self, parts: Sequence[bijection.Bijection]
                 ) -> bijection.Bijection:
    """Returns such a bijection of other parts, with its name and dtype."""
    raise NotImplementedError

  def frozen(self) -> bijection.Bijection:
    copy = self.with_parts([part.frozen() for part in self.parts])
    if self.built:
      copy.build_from_config(self.get_build_config())
    return copy
