"""Bounds of the Lipschitz constants of blocks."""

from typing import Any, NamedTuple, Self

from tf_resflow import numerics
from tf_resflow.layers.lipschitz import learned_norms
from tf_resflow.layers.lipschitz import lipschitz_layer


class LipschitzReport(NamedTuple):
  """Bounds of the Lipschitz constant of the `g` of one block.

  Attributes:
    name: name of the block.
    lipschitz_bound: upper bound that the block enforces at every call.
    power_iteration: product of the layers' norms by power iteration (each from
      below, to a relative 1e-3) and of the activations' constants: an estimate
      of the bound, which usually exceeds the constant itself.
    certificate: product of guaranteed upper bounds for the current weights;
      None if uncertified.
    methods: method by which each layer was certified, or ('asserted',).
    order: order `p` of the norm l_p in which the bounds hold.
    bound_source: origin of the bound, in `lipschitz_layer.BOUND_SOURCES`.
  """

  name: str
  lipschitz_bound: float
  power_iteration: float | None
  certificate: float | None
  methods: tuple[str, ...]
  order: float | None = 2.0
  bound_source: str = 'construction'

  @classmethod
  def of(cls, block: Any, name: str, certify: bool) -> Self:
    """Returns the bounds of a bijection that has a certificate."""
    certificate = (
        block.certificate() if certify else numerics.Certificate(None))
    return cls(name, block.lipschitz_bound, block.norm_estimate(),
               certificate.bound, certificate.methods,
               learned_norms.present_order(block.order), block.bound_source)

  @property
  def is_estimated(self) -> bool:
    """Whether `lipschitz_bound` is an estimate, which may be too low."""
    return self.bound_source == lipschitz_layer.ESTIMATED

  @property
  def excess(self) -> float:
    """Relative excess of `power_iteration` over the bound, at least 0."""
    return max(0.0, (self.power_iteration or 0.0) / self.lipschitz_bound - 1.0)
