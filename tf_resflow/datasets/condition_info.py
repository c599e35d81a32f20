"""What in a data set is the condition of `p(x|c)`."""

import dataclasses
from typing import Any

LABEL = 'label'
ENTRY = 'condition'


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionInfo:
  """Facts about the conditions of the examples of a data set.

  Attributes:
    num_labels: Number of labels, where conditions are such; else 0.
    size: Numbers of a condition; 0 for labels.
    mean: Of the numbers in the training part, or none.
    std: Likewise.
    names: What the numbers are called, or none.
    is_label: Whether it is the label of an example; else what comes with it.
  """

  num_labels: int = 0
  size: int = 0
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()
  names: tuple[str, ...] = ()
  is_label: bool = False

  def facts(self) -> dict[str, Any]:
    """Returns what a model has to know, by names of its fields."""
    return {
      'condition_labels': self.num_labels, 'condition_size': self.size,
      'condition_mean': self.mean, 'condition_std': self.std,
      'condition_names': self.names,
    }
