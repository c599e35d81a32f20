"""The tables of docs/tables.md: their sizes, and the numbers of some."""

import numpy as np
import pytest

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.experiments import tables

_SIZES = {
    'wine': (178, 13), 'cancer10': (569, 10), 'cancer30': (569, 30),
    'diabetes': (442, 10), 'iris': (150, 4), 'fifty': (50, 2),
    'spiral': (2000, 2), 'heavy': (2000, 3), 'housing': (6000, 8),
    'twenty': (5000, 20), 'near': (3000, 8), 'sixty': (100_000, 60)}


def test_sizes():
  assert list(_SIZES) == list(tables.TABLES)
  for name, (num_rows, num_columns) in _SIZES.items():
    if num_rows < 1e5:
      assert tables.TABLES[name]().shape == (num_rows, num_columns), name


@pytest.mark.parametrize('name, total', [
    ('fifty', 506.6346517047241),
    ('spiral', 46.91546245409172),
    ('heavy', 5182.065875825659),
    ('housing', 789153803.1304613),
    ('twenty', -58320.03757912432),
    ('near', -30607.053379078417)])
def test_numbers_are_those_of_the_page(name, total):
  assert tables.TABLES[name]().to_numpy().sum() == pytest.approx(
      total, rel=1e-12)


def test_the_test_part_is_the_last_fifth_of_a_permutation():
  info = datasets.info('tables:iris')
  order = np.random.default_rng(99).permutation(150)
  x = tables.TABLES['iris']().to_numpy()
  for part, rows in (('train', order[:120]), ('test', order[120:])):
    # Rows of training are in another order.
    found, expected = (
        np.array(sorted(map(tuple, np.float32(a)))) for a in (
            info.open(part).arrays['x'], x[rows]))
    np.testing.assert_array_equal(found, expected)


def test_folds_of_a_repetition_have_every_row_once():
  x = np.float32(tables.TABLES['iris']().to_numpy())
  folds = [[datasets.info(f'tables:iris/{repetition}.{fold}of4')
            for fold in range(4)] for repetition in (0, 1)]
  for infos in folds:
    parts = [info.open('test').arrays['x'] for info in infos]
    np.testing.assert_array_equal(
        sorted(map(tuple, np.concatenate(parts))), sorted(map(tuple, x)))
    rest = infos[1].open('train').arrays['x']
    np.testing.assert_array_equal(sorted(map(tuple, np.concatenate(
        [rest, parts[1]]))), sorted(map(tuple, x)))
  assert len({info.fingerprint for infos in folds for info in infos}) == 8
  # A name is no path.
  config = configuration.make_config(dataset='tables:iris/1.3of4')
  assert config.data.dataset == 'tables:iris/1.3of4'


@pytest.mark.parametrize('fold', [
    '1', '0.4of4', '0.0of1', '0.0of76', '-1.0of2'])
def test_folds_that_are_none_are_refused(fold):
  with pytest.raises(errors.InvalidValueError, match='a fold such as'):
    datasets.info(f'tables:iris/{fold}')


def test_unknown_tables_are_refused():
  with pytest.raises(errors.InvalidValueError, match='expected one of wine'):
    datasets.info('tables:none')
