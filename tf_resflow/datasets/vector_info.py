"""Data sets of vectors of real numbers, stored or drawn."""

from collections.abc import Callable
import dataclasses
from typing import Any, ClassVar

from tf_resflow.datasets import dataset_info


@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorInfo(dataset_info.DatasetInfo):
  """Facts about one data set of vectors; `DatasetInfo` has the others.

  Attributes:
    event_size: Numbers of a vector, D.
    mean: What a model subtracts first, D numbers or none; those of the training
      part, so that densities are in the units of the data.
    std: What it divides by then.
    columns: What the numbers are called, D names or none.
    load_fn: Maps 'train' or 'test' to float32 `[N, D]` and labels `[N]` or
      None.

  Example:
    >>> def load(part):
    ...   return np.zeros([6, 3], np.float32), None
    >>> VectorInfo(name='zeros', event_size=3, load_fn=load).event_shape
    (3,)
  """

  model: ClassVar[str] = 'vector'
  opener: ClassVar[str] = 'tf_resflow.datasets.vectors:open_split'
  num_levels: ClassVar[None] = None

  event_size: int
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()
  columns: tuple[str, ...] = ()
  is_embedded: bool = True
  load_fn: dataset_info.LoadFn | None = None

  @property
  def event_shape(self) -> tuple[int, ...]:
    return (self.event_size,)

  def facts(self) -> dict[str, Any]:
    return {
      'event_size': self.event_size,
      'column_mean': self.mean,
      'column_std': self.std,
      'column_names': self.columns,
      'num_classes': self.num_classes,
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawnInfo(VectorInfo):
  """Facts about a density of which every example is a fresh draw.

  A training step sees points that no step before has seen; the validation and
  test parts are fixed, of `num_test` points and as many as are asked for.

  Attributes:
    draw_fn: Maps an int64 `[2]`, a key, to one point, float32 `[D]`; a function
      of tensors.
  """

  opener: ClassVar[str] = 'tf_resflow.datasets.vectors:open_drawn'

  num_train: int = 20_000
  num_test: int = 20_000
  draw_fn: Callable[[Any], Any] | None = None
