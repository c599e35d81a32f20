"""Data sets of vectors of real numbers, stored or drawn."""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any, ClassVar, Self

from tf_resflow import errors
from tf_resflow.datasets import condition_info
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
    load_fn: Maps 'train' or 'test' to float32 `[N, D]`, labels `[N]` or None,
      and perhaps conditions.

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

  def conditioned(self, names: Sequence[str]) -> Self:
    if not self.columns:
      return super().conditioned(names)
    foreign = [name for name in names if name not in self.columns]
    errors.check(
      not foreign and len(set(names)) == len(names), 'condition',
      ','.join(names), f'columns of {self.name}: {", ".join(self.columns)}',
    )
    errors.check(
      len(names) < self.event_size, 'condition', ','.join(names),
      'fewer columns than there are', 'The others are what is modelled.',
    )
    chosen = [self.columns.index(name) for name in names]
    kept = [i for i in range(self.event_size) if i not in chosen]

    def values_at(places):
      return {
        key: tuple(values[i] for i in places) for key, values in (
          ('mean', self.mean), ('std', self.std)) if values
      }

    def load(part):
      x, labels = self.load_fn(part)
      return x[:, kept], labels, x[:, chosen]

    return dataclasses.replace(
      self, event_size=len(kept), load_fn=load,
      columns=tuple(self.columns[i] for i in kept), **values_at(kept),
      condition=condition_info.ConditionInfo(
        size=len(chosen), names=tuple(names), **values_at(chosen)),
    )

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
