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
from tf_resflow.columns import column_checks
from tf_resflow.columns import column_fits
from tf_resflow.columns import schema as schema_lib
from tf_resflow.datasets import user_files
from tf_resflow.specs import spec

# Names of conditions, besides columns of tables.
_LABEL, _ARRAY = 'label', 'condition'
# Parts of data sets.
PARTS = ('train', 'validation', 'test')


class DatasetNotFoundError(errors.InvalidValueError):
  """A data set is not prepared and cannot be prepared."""


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
    homepage: URL of the documentation.
    fingerprint: digest of data that may change, by which runs detect changes;
      empty for those of the catalog.
    test_rows: how the test part was chosen: 'random', 'last', 'group:COLUMN',
      'given', as in the catalog, or 'none'.
    load_fn: maps 'train' or 'test' to examples, uint8 `[N, H, W, C]` or float32
      `[N, D]`, labels `[N]` or None, and conditions if these are not the
      labels; None for stored or drawn data.
    conditions_fn: returns the 'train' and 'test' parts of an array of
      conditions, floats `[N, K]` or labels `[N]`; None if there is none.
    condition_labels: number of labels that are conditions of the model, 0 if
      these are numbers; None for unconditional models. See `with_condition`.
    weights: of examples in means, `[N]` by 'train' and 'test', relative to the
      mean of the training part; None for equal ones.
    schema: names, roles and levels of columns of vectors and conditions, and
      what is fitted to them; None for others.
    warnings: what was logged when a run opened the data.
  """

  model: ClassVar[str]
  opener: ClassVar[str] = 'tf_resflow.datasets.loading:open_stored'

  name: str
  num_classes: int = 0
  num_train: int | None = None
  num_test: int | None = None
  is_embedded: bool = False
  homepage: str = ''
  fingerprint: str = ''
  test_rows: str = 'given'
  load_fn: Callable[[str], tuple[Any, ...]] | None = None
  conditions_fn: Callable[[], Mapping[str, np.ndarray]] | None = None
  condition_labels: int | None = None
  weights: Mapping[str, np.ndarray] | None = None
  schema: schema_lib.Schema | None = None
  warnings: tuple[str, ...] = dataclasses.field(
      default=(), repr=False, compare=False)

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
        'condition_labels': self.condition_labels or 0,
        'condition_size': self.schema.condition_size if self.schema else 0}

  def open(
      self, split: str, data_dir: str | os.PathLike | None = None,
      num_validation: int = 0) -> 'datasets.Split':
    """Opens one part, in a fixed order.

    The validation part is the last `num_validation` examples of the training
    part, which then excludes them; the test part never changes.

    Args:
      split: 'train', 'validation' or 'test'.
      data_dir: folder of prepared data, as written by `tfds build`. Without it
        TFDS uses its default folder, and downloads missing data.
      num_validation: number of validation examples.

    Raises:
      DatasetNotFoundError: if the data are not prepared and cannot be.
      InvalidValueError: if there is no such part.
    """
    errors.check(
        split in PARTS, 'split', split, f'one of {", ".join(PARTS)}')
    errors.check(
        split != 'validation' or num_validation > 0, 'split', split,
        problem='requires num_validation')
    errors.check(
        split != 'test' or self.num_test != 0, 'split', split,
        problem='is empty', advice='All rows train and validate.')
    # Imported on demand: metadata do not need TensorFlow.
    return pkgutil.resolve_name(self.opener)(
        self, split, data_dir, num_validation)

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
    known = [_LABEL] * (self.num_classes > 0) + [_ARRAY] * (
        self.conditions_fn is not None)
    errors.check(
        len(names) == 1 and names[0] in known, 'condition_on', ','.join(names),
        ' or '.join(known) or 'none', f'{self.name} has no '
        f'{"other " if known else ""}labels, conditions or named columns.')
    if _LABEL in names:
      return dataclasses.replace(self, condition_labels=self.num_classes)
    conditions_fn: Any = self.conditions_fn
    load_fn: Any = self.load_fn
    parts = conditions_fn()
    given = dataclasses.replace(
        self, load_fn=lambda part: (*load_fn(part), parts[part]))
    train = parts['train']
    if np.issubdtype(train.dtype, np.integer):
      return dataclasses.replace(given, condition_labels=int(train.max()) + 1)
    columns = [schema_lib.Column(role=schema_lib.CONDITION)] * train.shape[1]
    schema = self.schema or schema_lib.Schema.unnamed(
        0 if self.is_image else self.event_shape[0])
    return dataclasses.replace(
        given, condition_labels=0, schema=schema.with_columns(
            column_fits.with_moments(
                columns, train, self.weights and self.weights['train'])))

  def with_validation(self, num_validation: int) -> Self:
    """Returns the metadata with what is fitted to the training examples."""
    return self

  def changed(self, num_bits: int = 8, resize: int | None = None) -> Self:
    """Returns the metadata of images with fewer bits or of another size.

    Others are refused: `num_bits` are those per channel, 1 to 8, and `resize`
    is height and width, or None for no change.
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
    errors.check(
        num_bits == 8 or self.num_levels in (256, 2**num_bits), 'num_bits',
        num_bits,
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
    asked_types: types that were asked for, `COLUMN:TYPE`, if types and moments
      are to be fitted to the training part; otherwise None.
    smoothing: size of noise that regularises a Gaussian of standardised
      vectors best, see `correlations.smoothing`.
    index: maps parts to the index of their rows in a table, for messages.

  Example:
    >>> def load(part):
    ...   return np.random.default_rng(0).normal(size=[20, 3]), None
    >>> info = VectorInfo(
    ...     name='noise', event_size=3, load_fn=load, asked_types=())
    >>> info.with_validation(5).schema.types
    ()
  """

  model: ClassVar[str] = 'vector'

  event_size: int
  asked_types: Sequence[str] | None = None
  smoothing: float = 0.0
  index: Mapping[str, Any] = dataclasses.field(
      default_factory=dict, repr=False, compare=False)
  is_embedded: bool = True

  @property
  def event_shape(self) -> tuple[int, ...]:
    return (self.event_size,)

  def check_rows(self, part: str, rows: np.ndarray) -> None:
    """Raises `InvalidValueError` that names the first NaN or infinity."""
    with errors.format_errors(
        'dataset', self.name, 'finite numbers from its load_fn'):
      user_files.check_finite(
          rows, self.schema.names if self.schema else (), f'Its {part} part')

  def with_validation(self, num_validation: int) -> Self:
    if self.asked_types is None:
      return self
    load_fn: Any = self.load_fn
    x, _, *conditions = load_fn('train')
    self.check_rows('train', x)
    schema, smoothing = column_fits.fit(
        self.schema or schema_lib.Schema.unnamed(self.event_size), x,
        conditions[0] if conditions else None, num_validation,
        self.asked_types, self.name, self.index.get('train'),
        self.weights and self.weights['train'])
    for check in (column_checks.rows_with_density, column_checks.rows_off_grids
                  ) if self.num_test != 0 else ():
      check(load_fn('test')[0], schema.types, schema.names,
            self.index.get('test'), 'test rows')
    return dataclasses.replace(
        self, asked_types=None, schema=schema, smoothing=smoothing)

  def with_condition(self, names: Sequence[str]) -> Self:
    names = cells.as_names(names)
    schema, load_fn = self.schema, self.load_fn
    if schema is None or not schema.is_named or load_fn is None:
      return super().with_condition(names)
    errors.check(
        {*names} < {*schema.names} and len({*names}) == len(names),
        'condition_on', ','.join(names), f'columns of {self.name}: '
        f'{", ".join(schema.names)}', 'Those that are left are x.')
    places = dict(zip(schema.names, schema_lib.by_column(
        schema.modelled, np.arange(self.event_size)), strict=True))
    chosen = np.concatenate([places[name] for name in names])
    kept = np.setdiff1d(np.arange(self.event_size), chosen)

    def load(part):
      x, labels = load_fn(part)
      return x[:, kept], labels, x[:, chosen]

    return dataclasses.replace(
        self, event_size=len(kept), load_fn=load, condition_labels=0,
        schema=schema.conditioned_on(names))

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
  test_rows: str = 'random'
  draw_fn: Callable[[Any], Any] | None = None
