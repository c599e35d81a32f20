"""Settings of data: the section of a run's configuration about them."""

from collections.abc import Collection
import dataclasses
import os
import re

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.specs import fields
from tf_resflow.specs import registries

# Fields of the data that apply to tables only; data frames have the first.
FRAME_FIELDS: tuple[str, ...] = (
    'columns', 'drop', 'missing', 'column_types', 'test_rows', 'test_share',
    'sample_weight')
TABLE_FIELDS: tuple[str, ...] = (*FRAME_FIELDS, 'test_file', 'sheet')
# Options of openers, and the data that have them.
_OF_FILES = {**dict.fromkeys(TABLE_FIELDS, 'tables'),
             'skip_bad': 'images:FOLDER'}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSource(fields.Section):
  """Data set."""

  dataset: str = fields.field(
      'digits', help='Data set: a name (digits, mnist5k, patches32 and 2d/NAME '
      'are built in, others are from TensorFlow Datasets), or your own folder '
      'of images, .npz file with an array x (uint8 images or float vectors), '
      'or table of numeric columns.', choices=registries.DATASETS,
      is_basic=True, is_open=True)
  data_dir: str | None = fields.field(
      None, help='Folder of TensorFlow Datasets, by default the usual one; not '
      'for built-in data sets.', resumable=True)
  num_bits: int = fields.field(
      8, help='Bits per channel to reduce 8-bit images to, such as 5 for '
      'CelebA-HQ.', minimum=1, maximum=8)
  resize: int | None = fields.field(
      None, help='Height and width in pixels to resize images to.', minimum=1)
  skip_bad: bool = fields.field(
      False, help='Pass over files of an image folder that are damaged, '
      'transparent, of 16 bits or animated; every image is read once more.',
      resumable=True)
  columns: tuple[str, ...] = fields.field(
      (), help='Columns of a table to use, in this order, with those of '
      '--condition_on; by default all.', is_basic=True)
  drop: tuple[str, ...] = fields.field(
      (), help='Columns of a table not to use.', is_basic=True)
  missing: str = fields.field(
      'error', help='Rows of a table with an empty cell: error refuses the '
      'table, drop leaves them out.', choices=('error', 'drop'), is_basic=True)
  column_types: tuple[str, ...] = fields.field(
      (), help='Types of columns of a table, NAME:TYPE: real, log (positive '
      'numbers), logit (in (0, 1); logit:100 in (0, 100)), heavy (heavy '
      'tails), integer, signed_integer or heavy_integer (integer:25: multiples '
      'of 25); others are detected. none only standardises columns, also of '
      'arrays.',
      is_basic=True)
  test_rows: str = fields.field(
      'random', help='Rows of a table to test on, a share of --test_share: '
      'random (the same in all runs), last (such as the most recent), '
      'group:NAME (of the values in a column, such as persons, with all of '
      'their rows), or none (there is no test then, only a validation).',
      is_basic=True)
  test_share: float = fields.field(
      0.2, help='Share of the rows of a table, or of groups, to test on.',
      above=0.0, below=1.0)
  sample_weight: str | None = fields.field(
      None, help='Column of a table with weights of rows, as in surveys: '
      'numbers of times that a row counts in all means, also on test rows.')
  test_file: str | None = fields.field(
      None, help='Table to test on; all rows of --dataset then train.')
  sheet: str | None = fields.field(
      None, help='Name of the sheet of an .xlsx file, by default the first.',
      is_basic=True)

  def check(self) -> None:
    name, path = registries.DATASETS.split(self.dataset)
    if name and path and not name.endswith(':NAME'):
      object.__setattr__(
          self, 'dataset', self.dataset.removesuffix(path) + _absolute(path))
    if self.test_file is not None:
      object.__setattr__(self, 'test_file', _absolute(self.test_file))
    self.require(
        re.fullmatch('(?s)random|last|none|group:.+', self.test_rows),
        'test_rows', 'random, last, group:NAME or none')
    self.require(
        self.test_file is None or self.test_rows == 'random', 'test_rows',
        problem='cannot be used with test_file')
    self.require(
        'test_share' not in self.non_default_values() or
        self.test_file is None and self.test_rows != fields.NONE, 'test_share',
        problem='cannot be used with test_file or test_rows=none')

  @property
  def missing_in_rows(self) -> str:
    """What becomes of scored rows with an empty cell, see `rows.read`."""
    # A data frame has the setting in its data set, which need not be here.
    is_strict = self.missing == 'error' and self.dataset.startswith('table:')
    return 'error' if is_strict else 'nan'

  def read(self) -> 'datasets.DatasetInfo':
    """Opens the data set by its name, see `open`; returns it as it is stored.
    """
    known, name = registries.DATASETS, self.dataset
    errors.check(
        name in known, 'dataset', name, known.expected, known.advice(name)
        or 'Hand data of your own over in Python, make_config(dataset='
        'datasets.table(FRAME)), or register them by registries.DATASETS.'
        f'register({name!r}, ...) in a module of --import=MODULE.')
    options = known.options_of(name)
    self.check_options(options)
    return known.get(name, 'dataset', **{
        field: value for field, value in self.non_default_values().items()
        if field in options})

  def check_options(self, options: Collection[str] = ()) -> None:
    """Raises `InvalidValueError` for options of files that are not `options`.
    """
    given = self.non_default_values()
    for field, what in _OF_FILES.items():
      self.require(
          field not in given or field in options, field,
          problem=f'cannot be used with dataset={self.dataset}',
          advice=f'It applies to {what} only.')

  def open(
      self, info: 'datasets.DatasetInfo | None' = None,
  ) -> 'datasets.DatasetInfo':
    """Opens the data set, and returns its metadata with these settings.

    What is fitted to training rows follows by `with_validation`.

    Args:
      info: what `read` returns, or `open` has returned before; by default it is
        read.

    Raises:
      InvalidValueError: if the data are invalid, or do not suit the settings.
    """
    return (info or self.read()).changed(
        num_bits=self.num_bits, resize=self.resize)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(DataSource):
  """Training data."""

  num_validation: int = fields.field(
      fields.AUTO, help='Number of training examples to hold out for '
      'validation, such as 200; auto is a fifth of your own vectors below '
      '1,000, a tenth above (2,000 at most), and none of other data.',
      minimum=0, placeholders=(fields.AUTO,), is_basic=True)
  flip: bool = fields.field(
      False, help='Randomly flip training images horizontally.')
  crop_padding: int = fields.field(
      0, help='Pixels to pad each side of a training image by before a random '
      'crop to its original size; 0 disables the crop.', minimum=0)
  crop_mode: str = fields.field(
      'reflect', help='Padding of --crop_padding: reflect (mirror image) or '
      'constant (zeros).', choices=registries.CROP_MODES)
  condition_on: tuple[str, ...] = fields.field(
      (), help='Learn p(x|c), where c is label, or columns of a table '
      '(removed from x), or condition (an array of an .npz file).',
      is_basic=True)

  def open(
      self, info: 'datasets.DatasetInfo | None' = None,
  ) -> 'datasets.DatasetInfo':
    with errors.collected_warnings() as warnings:
      info = super().open(info)
    info = dataclasses.replace(info, warnings=(*info.warnings, *warnings))
    for field in ('flip', 'crop_padding'):
      if field in self.non_default_values():
        info.require_images(field, getattr(self, field))
    if self.condition_on and info.condition_labels is None:
      info = info.with_condition(self.condition_on)
    # So every crop has pixels of its image, and enough to mirror.
    self.require(self.crop_padding < min(info.event_shape[:2]), 'crop_padding',
                 f'less than the sides of images {info.event_shape}')
    return info


def _absolute(path: str) -> str:
  """Makes a path absolute; URLs are refused where they are opened."""
  return path if '://' in path else os.path.abspath(os.path.expanduser(path))
