"""Facts about data sets, known before any of them is read."""

import abc
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os
import pkgutil
from typing import Any, ClassVar, Self

import numpy as np

from tf_resflow import datasets
from tf_resflow import errors

# What a condition can be, beside columns.
_LABEL, _ENTRY = 'label', 'condition'

# A function from 'train' or 'test' to examples, their labels or None, and
# perhaps their conditions.
LoadFn = Callable[[str], tuple[np.ndarray | None, ...]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionInfo:
  """Facts about the conditions of `p(x|c)` that come with examples.

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

  def inferred_fields(self) -> dict[str, Any]:
    """Returns what a model has to know, by names of its fields."""
    return {
      'condition_labels': self.num_labels, 'condition_size': self.size,
      'condition_mean': self.mean, 'condition_std': self.std,
      'condition_names': self.names}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo(abc.ABC):
  """Facts about one data set: an `ImageInfo`, a `VectorInfo` or a `DrawnInfo`.

  A reader's own one joins the others in one line,
  `registries.DATASETS.register(NAME, INFO)`; then `--dataset=NAME` takes it.

  Attributes:
    model: Class attribute, the name of the type of model that such data get
      where none is asked for, of `registries.MODELS`.
    opener: Class attribute, `'module:function'` of what opens a part.
    num_levels: Number of levels of images of integers; None for vectors.
    name: As `--dataset=` has it.
    num_classes: Number of labels; 0 if there are none.
    num_train: Examples in the training part, validation included; None where
      that need not be checked.
    num_test: Examples in the test part, likewise.
    is_embedded: Whether nothing is downloaded, and examples are so small that
      certificates take seconds.
    description: One sentence.
    homepage: Where it is described.
    fingerprint: A digest of data that may change, so that a run notices it;
      empty for those of the catalogue.
    load_fn: Maps 'train' or 'test' to examples, uint8 `[N, H, W, C]` or float32
      `[N, D]`, labels `[N]` or None, and perhaps conditions; None for data that
      are found or drawn.
    entry_fn: Returns facts about the conditions that come with the examples,
      and these of 'train' and 'test', where some do.
    condition: Facts about those that a model depends on, see `with_condition`;
      None for none.
  """

  model: ClassVar[str]
  opener: ClassVar[str] = 'tf_resflow.datasets.loading:open_stored'

  name: str
  num_classes: int = 0
  num_train: int | None = None
  num_test: int | None = None
  is_embedded: bool = False
  description: str = ''
  homepage: str = ''
  fingerprint: str = ''
  load_fn: LoadFn | None = None
  entry_fn: Callable[
    [], tuple[ConditionInfo, Mapping[str, np.ndarray]]] | None = None
  condition: ConditionInfo | None = None

  @property
  @abc.abstractmethod
  def event_shape(self) -> tuple[int, ...]:
    """The shape of an example."""

  @abc.abstractmethod
  def inferred_fields(self) -> dict[str, Any]:
    """Returns what a model has to know, by names of the model's fields."""

  def open(
    self, split: str, data_dir: str | os.PathLike | None = None,
    num_validation: int = 0) -> 'datasets.Split':
    """Opens a part; `datasets.load` has the arguments, and has checked them."""
    # Imported by that: facts need no TensorFlow.
    opened = pkgutil.resolve_name(self.opener)(
      self, split, data_dir, num_validation)
    return opened if self.condition is None else opened.with_condition(
      self.condition)

  def with_condition(self, names: Sequence[str]) -> Self:
    """Returns the facts about the same data, for a model `p(x|c)`.

    Args:
      names: What the condition is: `('label',)`, or `('condition',)` for the
        conditions that come with the examples. Of a table, names of columns,
        which are no part of `x` then.

    Raises:
      InvalidValueError: If the data have nothing of the kind.
    """
    known = [_LABEL] * (self.num_classes > 0) + [_ENTRY] * (
      self.entry_fn is not None)
    errors.check(
      len(names) == 1 and names[0] in known, 'condition', ','.join(names),
      ' or '.join(known) or f'none with dataset={self.name}',
      f'It is what {self.name} has beside x.' if known else
      'These data have neither labels nor conditions, nor columns with names.')
    if _LABEL in names:
      return dataclasses.replace(self, condition=ConditionInfo(
        num_labels=self.num_classes, is_label=True))
    condition, parts = self.entry_fn()
    return dataclasses.replace(
      self, condition=condition,
      load_fn=lambda part: (*self.load_fn(part), parts[part]))

  def inferred_condition_fields(self) -> dict[str, Any]:
    """Returns what a model has to know of conditions."""
    return (self.condition or ConditionInfo()).inferred_fields()

  def changed(self, num_bits: int = 8, resize: int | None = None) -> Self:
    """Returns the facts about images with fewer bits or of another size.

    Raises:
      InvalidValueError: For what only images can be.
    """
    if num_bits != 8:
      self.require_images('num_bits', num_bits, 8)
    if resize is not None:
      self.require_images('resize', resize, None)
    return self

  def require_images(self, name: str, value: Any, default: Any) -> None:
    """Raises `InvalidValueError` for a value that only images can have.

    Args:
      name: Of the field.
      value: That was given.
      default: That has no effect.
    """
    errors.check(
      self.num_levels is not None, name, value,
      f'{default} with dataset={self.name}',
      'It is for images, and these are vectors.')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageInfo(DatasetInfo):
  """Facts about one image data set; `DatasetInfo` has the other attributes.

  Attributes:
    image_shape: `(height, width, channels)` in pixels.
    num_levels: Grey levels n; pixel values are the integers 0..n-1.
    train_split: tfds split of the training part.
    test_split: tfds split of the test part.
    files: Names of the array files of 'train' and 'test', patterns with `*`;
      such files in `data_dir` take the place of a tfds data set.
    manual_file: Name of the file that tfds cannot download, if there is one.
    resize: Height and width that stored images are resized to; None for none.
    stored: The images that these are made of, with more bits or of another
      size; None where they are stored as they are.

  Example:
    >>> def load(part):
    ...   return np.zeros([6, 4, 4, 1], np.uint8), np.arange(6) % 2
    >>> dark = ImageInfo(name='dark', image_shape=(4, 4, 1), num_levels=256,
    ...                  num_classes=2, load_fn=load)
    >>> dark.changed(num_bits=5).num_levels
    32
  """

  model: ClassVar[str] = 'image'

  image_shape: tuple[int, int, int]
  num_levels: int = 256
  train_split: str = 'train'
  test_split: str = 'test'
  files: Mapping[str, str] = dataclasses.field(default_factory=dict)
  manual_file: str = ''
  resize: int | None = None
  stored: Self | None = None

  @property
  def event_shape(self) -> tuple[int, ...]:
    return self.image_shape

  def changed(self, num_bits: int = 8, resize: int | None = None) -> Self:
    errors.check(
      resize is None or resize >= 1, 'resize', resize, 'a whole number from 1')
    errors.check(1 <= num_bits <= 8, 'num_bits', num_bits, '1 to 8')
    errors.check(
      num_bits == 8 or self.num_levels == 256, 'num_bits', num_bits,
      f'8, since {self.name} has {self.num_levels} levels',
      'Only 256 levels can be reduced.')
    height, width, channels = self.image_shape
    return dataclasses.replace(
      self,
      image_shape=(resize or height, resize or width, channels),
      num_levels=min(self.num_levels, 2**num_bits),
      resize=resize or self.resize,
      stored=self.stored or self)

  def inferred_fields(self) -> dict[str, Any]:
    return {
      'image_shape': self.image_shape, 'num_levels': self.num_levels,
      'num_classes': self.num_classes}


@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorInfo(DatasetInfo):
  """Facts about one data set of vectors; `DatasetInfo` has the others.

  Attributes:
    event_size: Numbers of a vector, D.
    mean: What a model subtracts first, D numbers or none; those of the training
      part, so that densities are in the units of the data.
    std: What it divides by then.
    columns: What the numbers are called, D names or none.

  Example:
    >>> def load(part):
    ...   return np.zeros([6, 3], np.float32), None
    >>> VectorInfo(name='zeros', event_size=3, load_fn=load).event_shape
    (3,)
  """

  model: ClassVar[str] = 'vector'
  num_levels: ClassVar[None] = None

  event_size: int
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()
  columns: tuple[str, ...] = ()
  is_embedded: bool = True

  @property
  def event_shape(self) -> tuple[int, ...]:
    return (self.event_size,)

  def with_condition(self, names: Sequence[str]) -> Self:
    if not self.columns:
      return super().with_condition(names)
    errors.check(
      set(names) <= set(self.columns) and len(set(names)) == len(names),
      'condition', ','.join(names),
      f'columns of {self.name}: {", ".join(self.columns)}')
    errors.check(
      len(names) < self.event_size, 'condition', ','.join(names),
      'fewer columns than there are', 'The others are what is modelled.')
    chosen = [self.columns.index(name) for name in names]
    kept = [i for i in range(self.event_size) if i not in chosen]

    def facts_at(places):
      return {
        key: tuple(values[i] for i in places) for key, values in (
          ('mean', self.mean), ('std', self.std)) if values}

    def load(part):
      x, labels = self.load_fn(part)
      return x[:, kept], labels, x[:, chosen]

    return dataclasses.replace(
      self, event_size=len(kept), load_fn=load,
      columns=tuple(self.columns[i] for i in kept), **facts_at(kept),
      condition=ConditionInfo(
        size=len(chosen), names=tuple(names), **facts_at(chosen)))

  def inferred_fields(self) -> dict[str, Any]:
    return {
      'event_size': self.event_size, 'column_mean': self.mean,
      'column_std': self.std, 'column_names': self.columns,
      'num_classes': self.num_classes}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawnInfo(VectorInfo):
  """Facts about a density of which every example is a fresh draw.

  A training step sees points that no step before has seen; the validation and
  test parts are fixed, of `num_test` points and as many as are asked for.

  Attributes:
    draw_fn: Maps an int64 `[2]`, a key, to one point, float32 `[D]`; a function
      of tensors.
  """

  opener: ClassVar[str] = 'tf_resflow.datasets.loading:open_drawn'

  num_train: int = 20_000
  num_test: int = 20_000
  draw_fn: Callable[[Any], Any] | None = None
