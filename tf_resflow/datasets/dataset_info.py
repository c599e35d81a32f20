"""Metadata of data sets, available without reading them."""

import abc
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os
import pkgutil
from typing import Any, ClassVar, Self

import numpy as np

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.columns import cells
from tf_resflow.columns import schema as schema_lib
from tf_resflow.datasets import user_files
from tf_resflow.specs import spec

# Names of conditions, besides columns of tables.
_LABEL, _ENTRY = 'label', 'condition'
# Parts of data sets.
PARTS = ('train', 'validation', 'test')

# A function from 'train' or 'test' to examples, labels or None, and optionally
# conditions.
LoadFn = Callable[[str], tuple[np.ndarray | None, ...]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionInfo:
  """Metadata of the conditions of `p(x|c)`.

  Attributes:
    num_labels: number of labels if conditions are labels, otherwise 0; then
      the schema of the data has the columns of the condition.
    is_label: whether it is the label of the data set, not a separate array.
  """

  num_labels: int = 0
  is_label: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo(abc.ABC):
  """Metadata of a data set: `ImageInfo`, `VectorInfo` or `DrawnInfo`.

  Register your own with `registries.DATASETS.register(NAME, INFO)`; then
  `--dataset=NAME` selects it.

  Attributes:
    model: class attribute, name of the default model type, in
      `registries.MODELS`.
    opener: class attribute, `'module:function'` that opens a part.
    name: name in `--dataset=`.
    num_classes: number of labels; 0 if there are none, and objectives get none.
    num_train: number of training examples, including validation; None to skip
      the check.
    num_test: number of test examples, likewise.
    is_embedded: whether nothing is downloaded, and examples are so small that
      certificates take seconds.
    description: one sentence.
    homepage: URL of the documentation.
    fingerprint: digest of data that may change, by which runs detect changes;
      empty for those of the catalog.
    load_fn: maps 'train' or 'test' to examples, uint8 `[N, H, W, C]` or float32
      `[N, D]`, labels `[N]` or None, and optionally conditions; None for stored
      or drawn data.
    entry_fn: returns the metadata of the array of conditions, its columns (of
      numbers), and its 'train' and 'test' parts; None if there is none.
    condition: metadata of the condition of the model, see `with_condition`;
      None for unconditional models.
    schema: names, roles and levels of columns of vectors and conditions, and
      what is fitted to them; None for others.
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
      [], tuple[ConditionInfo, Sequence[schema_lib.Column],
                Mapping[str, np.ndarray]]] | None = None
  condition: ConditionInfo | None = None
  schema: schema_lib.Schema | None = None

  @property
  def num_levels(self) -> int | None:
    """Number of levels of images of integers; None for vectors."""
    return None

  @property
  def is_image(self) -> bool:
    """Whether the data are images of integers, not vectors."""
    return self.num_levels is not None

  @property
  def is_validated(self) -> bool:
    """Whether runs hold out a validation part by default: of read vectors."""
    return not self.is_image and self.load_fn is not None

  @property
  def default_num_validation(self) -> int:
    """Default number of validation examples."""
    size = self.num_train or 0
    if not self.is_validated:
      return 0
    return round(size / 5) if size < 1000 else min(round(size / 10), 2000)

  @property
  @abc.abstractmethod
  def event_shape(self) -> tuple[int, ...]:
    """Shape of an example."""

  def inferred_fields(self) -> dict[str, Any]:
    """Returns the fields of the model that follow from the data."""
    return {
        'num_classes': self.num_classes, 'schema': self.schema,
        'condition_labels': self.condition.num_labels if self.condition else 0,
        'condition_size': self.schema.condition_size if self.schema else 0}

  def open(
      self, split: str, data_dir: str | os.PathLike | None = None,
      num_validation: int = 0) -> 'datasets.Split':
    """Opens one part, in a fixed order.

    The validation part is the last `num_validation` examples of the training
    part, which then excludes them; the test part never changes.

    Args:
      split: 'train', 'validation' or 'test'.
      data_dir: folder of prepared data, as written by `tfds build`.
      num_validation: number of validation examples.

    Raises:
      DatasetNotFoundError: if the data are not prepared and cannot be.
      InvalidValueError: if there is no such part.
    """
    errors.check(
        split in PARTS, 'split', split, f'one of {", ".join(PARTS)}')
    errors.check(
        split != 'validation' or num_validation > 0, 'split', split,
        problem='requires num_validation',
        advice='It is the number of training examples held out for validation.')
    # Imported on demand: metadata do not need TensorFlow.
    opened = pkgutil.resolve_name(self.opener)(
        self, split, data_dir, num_validation)
    return opened if self.condition is None else opened.with_condition(
        self.condition)

  def with_condition(self, names: Sequence[str]) -> Self:
    """Returns the metadata of the same data, for a model `p(x|c)`.

    Args:
      names: the condition: `('label',)`, or `('condition',)` for the array of
        conditions. For a table, names of columns, which are then excluded from
        `x`.

    Raises:
      InvalidValueError: if the data do not have such a condition.
    """
    names = cells.as_names(names)
    known = [_LABEL] * (self.num_classes > 0) + [_ENTRY] * (
        self.entry_fn is not None)
    errors.check(
        bool(known), 'condition_on', ','.join(names),
        problem=f'cannot be used with dataset={self.name}',
        advice='It has no labels, conditions or named columns.')
    errors.check(
        len(names) == 1 and names[0] in known, 'condition_on', ','.join(names),
        ' or '.join(known), f'{self.name} has no other conditions.')
    if _LABEL in names:
      return dataclasses.replace(self, condition=ConditionInfo(
          num_labels=self.num_classes, is_label=True))
    entry_fn: Any = self.entry_fn
    load_fn: Any = self.load_fn
    condition, columns, parts = entry_fn()
    schema = self.schema or schema_lib.Schema.unnamed(
        0 if self.num_levels else self.event_shape[0])
    return dataclasses.replace(
        self, condition=condition, schema=schema.with_columns(columns)
        if columns else self.schema,
        load_fn=lambda part: (*load_fn(part), parts[part]))

  def with_validation(self, num_validation: int) -> Self:
    """Returns the metadata with what is fitted to the training examples."""
    return self

  def changed(self, num_bits: int = 8, resize: int | None = None) -> Self:
    """Returns the metadata of images with fewer bits or of another size.

    Args:
      num_bits: bits per channel, 1 to 8.
      resize: height and width, at least 1, or None for no change.

    Raises:
      InvalidValueError: if the data are not images, or the arguments do not
        suit them.
    """
    if num_bits != 8:
      self.require_images('num_bits', num_bits)
    if resize is not None:
      self.require_images('resize', resize)
    return self

  def require_images(self, name: str, value: Any) -> None:
    """Raises `InvalidValueError` for a field of images if the data are none."""
    errors.check(
        self.is_image, name, spec.text_of(value),
        problem=f'cannot be used with dataset={self.name}',
        advice='It applies to images only.')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageInfo(DatasetInfo):
  """Metadata of images.

  Attributes:
    image_shape: `(height, width, channels)` in pixels.
    num_levels: number of levels n; pixel values are the integers 0..n-1.
    train_split: TFDS split of the training part.
    test_split: TFDS split of the test part.
    files: names of the array files of 'train' and 'test', patterns with `*`;
      such files in `data_dir` replace a TFDS data set.
    manual_file: name of a file that TFDS cannot download, if any.
    resize: height and width to resize stored images to; None for no change.
    stored: metadata of the stored images, if they have more bits or another
      size; otherwise None.

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
    super().changed(num_bits, resize)
    errors.check(
        num_bits == 8 or self.num_levels == 256, 'num_bits', num_bits,
        problem=f'cannot be used with dataset={self.name}', advice='It '
        f'requires 8-bit images, and these have {self.num_levels} levels.')
    height, width, channels = self.image_shape
    if resize == height == width:
      resize = None
    return dataclasses.replace(
        self,
        image_shape=(resize or height, resize or width, channels),
        num_levels=min(self.num_levels, 2**num_bits),
        resize=resize or self.resize,
        stored=self.stored or self)

  def inferred_fields(self) -> dict[str, Any]:
    return {**super().inferred_fields(), 'image_shape': self.image_shape,
            'num_levels': self.num_levels}


@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorInfo(DatasetInfo):
  """Metadata of vectors.

  Attributes:
    event_size: size of a vector, D.
    asked_types: maps columns to the types that were asked for, if types and
      moments are to be fitted to the training part; otherwise None.
    smoothing: size of noise that regularises a Gaussian of standardised
      vectors best, see `column_fits.smoothing`.
    rows: maps parts to their rows, of a table; None for others.

  Example:
    >>> def load(part):
    ...   return np.random.default_rng(0).normal(size=[20, 3]), None
    >>> info = VectorInfo(
    ...     name='noise', event_size=3, load_fn=load, asked_types={})
    >>> info.with_validation(5).schema.types
    ()
  """

  model: ClassVar[str] = 'vector'

  event_size: int
  asked_types: Mapping[str, str] | None = None
  smoothing: float = 0.0
  rows: Mapping[str, schema_lib.Rows] | None = dataclasses.field(
      default=None, repr=False, compare=False)
  is_embedded: bool = True

  def check_rows(self, part: str, rows: np.ndarray) -> None:
    """Raises `InvalidValueError` that names the first NaN or infinity."""
    with errors.format_errors(
        'dataset', self.name, 'finite numbers from its load_fn'):
      user_files.check_finite(
          rows, self.schema.names if self.schema else (), f'Its {part} part')

  @property
  def event_shape(self) -> tuple[int, ...]:
    return (self.event_size,)

  def with_validation(self, num_validation: int) -> Self:
    if self.asked_types is None:
      return self
    # Imported on demand, because it takes NumPy and more.
    from tf_resflow.columns import column_checks
    from tf_resflow.columns import column_fits

    load_fn: Any = self.load_fn
    x, _, *given = load_fn('train')
    condition = given[0] if given else None
    self.check_rows('train', x)
    index = {part: rows.index for part, rows in (self.rows or {}).items()}
    schema, smoothing = column_fits.fit(
        self.schema or schema_lib.Schema.unnamed(self.event_size), x,
        condition, num_validation, self.asked_types, self.name,
        index.get('train'))
    column_checks.rows_with_density(
        load_fn('test')[0], schema.types, schema.names, index.get('test'),
        'test rows')
    return dataclasses.replace(
        self, asked_types=None, schema=schema, smoothing=smoothing)

  def with_condition(self, names: Sequence[str]) -> Self:
    names = cells.as_names(names)
    if self.schema is None or not self.schema.is_named:
      return super().with_condition(names)
    known = self.schema.names
    errors.check(
      {*names} <= {*known} and len({*names}) == len(names), 'condition_on',
      ','.join(names), f'columns of {self.name}: {", ".join(known)}')
    errors.check(
      len(names) < len(known), 'condition_on', ','.join(names),
      'fewer columns than there are', 'The other columns are x.')
    places = self.schema.coordinates()
    chosen = [i for name in names for i in places[name]]
    kept = [i for i in range(self.event_size) if i not in chosen]
    load_fn: Any = self.load_fn

    def load(part):
      x, labels = load_fn(part)
      return x[:, kept], labels, x[:, chosen]

    return dataclasses.replace(
        self, event_size=len(kept), load_fn=load, condition=ConditionInfo(),
        schema=self.schema.with_names(names, schema_lib.CONDITION),
        rows=self.rows and {
            part: dataclasses.replace(
                rows, x=rows.x[:, kept], condition=rows.x[:, chosen])
            for part, rows in self.rows.items()})

  def inferred_fields(self) -> dict[str, Any]:
    return {**super().inferred_fields(), 'event_size': self.event_size}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawnInfo(VectorInfo):
  """Metadata of a distribution that training examples are freshly drawn from.

  Each training step sees new points; the validation and test parts are fixed,
  with `num_validation` and `num_test` points.

  Attributes:
    draw_fn: TensorFlow function that maps a key, int64 `[2]`, to a point,
      float32 `[D]`.
  """

  opener: ClassVar[str] = 'tf_resflow.datasets.loading:open_drawn'

  num_train: int = 20_000
  num_test: int = 20_000
  draw_fn: Callable[[Any], Any] | None = None
