"""Programs: their rows, and densities whose integrals over cells are known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import mixture

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.columns import mapping
from tf_resflow.experiments import program

_TYPES = ['count:integer', 'size:log', 'place:real']


@pytest.fixture
def config():
  rng = np.random.default_rng(0)
  frame, test = (pd.DataFrame({
      'count': rng.integers(0, 4, n), 'size': rng.exponential(size=n),
      'place': rng.normal(size=n)}) for n in (60, 12))
  test.loc[3, 'size'] = -1.0  # It has no density.
  return configuration.make_config(dataset=datasets.table(
      frame, test=test, column_types=_TYPES), num_validation=10)


@pytest.fixture
def rows(config, tmp_path):
  program.write_rows(config, str(tmp_path))
  return dict(np.load(tmp_path / program.ROWS))


def _write(folder, log_prob):
  np.savez(folder / program.VALUES, log_prob=log_prob)
  return program.read_values(str(folder))


def test_rows_are_those_of_the_run(config, rows):
  for part in ('train', 'validation'):
    x = config.open_split(part).arrays['x'].numpy()
    np.testing.assert_array_equal(rows[part][:, 1:], x[:, 1:])
    np.testing.assert_array_equal(np.floor(rows[part][:, 0]), x[:, 0])
  assert [len(rows[part]) for part in ('train', 'validation', 'points')] == [
      50, 10, 11 * 16]
  for part in ('train', 'validation', 'points'):
    logs = np.log(rows[part][:, :2])
    np.testing.assert_allclose(
        rows[f'mapped_{part}'], np.c_[logs, rows[part][:, 2]], rtol=1e-12)
    np.testing.assert_allclose(
        rows[f'log_det_{part}'], -logs.sum(axis=1), rtol=1e-12)


def test_values_are_log_probabilities_of_rows(config, rows, tmp_path):
  """The density t / 8 of count + u gives (2 count + 1) / 16."""
  count, size, place = rows['points'].T
  record, nats = _write(tmp_path, np.log(count / 8) - size + stats.norm.logpdf(
      place))
  x = np.float64(config.open_split('test').arrays['x'].numpy())
  expected = -np.log((2 * x[:, 0] + 1) / 16) + x[:, 1] - stats.norm.logpdf(
      x[:, 2])
  expected[3] = np.inf
  np.testing.assert_allclose(nats, expected, rtol=1e-12)
  assert record == {
      'nats': pytest.approx(np.delete(nats, 3).mean()),
      'nats_stderr': pytest.approx(stats.sem(np.delete(nats, 3)))}


def test_cells_of_a_grid_have_probabilities(tmp_path):
  """Of a mixture that can collapse on fixed points of cells."""
  rng = np.random.default_rng(0)
  train, test = rng.integers(0, [4, 3], [300, 2]), np.argwhere(np.ones([4, 3]))
  config = configuration.make_config(num_validation=0, dataset=datasets.table(
      pd.DataFrame(train, columns=['a', 'b']), test=pd.DataFrame(
          test, columns=['a', 'b']), column_types=[
              'a:signed_integer', 'b:signed_integer']))
  program.write_rows(config, str(tmp_path))
  rows = np.load(tmp_path / program.ROWS)
  fitted = mixture.GaussianMixture(30, reg_covar=1e-8, random_state=0).fit(
      rows['train'])
  _, nats = _write(tmp_path, fitted.score_samples(rows['points']))
  assert np.exp(-nats).sum() == pytest.approx(1.0, abs=0.2)


def test_values_that_are_none(rows, tmp_path):
  log_prob = np.zeros(len(rows['points']))
  log_prob[:32] = -np.inf  # Two rows, which have no density.
  record, nats = _write(tmp_path, log_prob)
  np.testing.assert_array_equal(np.flatnonzero(np.isinf(nats)), [0, 1, 3])
  assert record == pytest.approx({'nats': 0.0, 'nats_stderr': 0.0}, abs=1e-9)
  log_prob[:2] = np.nan, np.inf
  record, _ = _write(tmp_path, log_prob)
  assert record == {'problem': 'log_prob of 2 points is no number'}
  with pytest.raises(
      errors.InvalidValueError, match=r'log_prob=\(5,\): expected an array'):
    _write(tmp_path, np.zeros(5))


def test_the_whole_validation_part_may_be_missing(tmp_path):
  config = configuration.make_config(dataset='2d/moons')
  program.write_rows(config, str(tmp_path))
  rows = np.load(tmp_path / program.ROWS)
  assert rows['validation'].shape == (0, 2)
  np.testing.assert_array_equal(rows['points'], rows['mapped_points'])
  np.testing.assert_array_equal(
      rows['points'], config.open_split('test').arrays['x'])


def test_a_program_is_known_by_its_text(tmp_path):
  path = tmp_path / 'a.py'
  with pytest.raises(errors.InvalidValueError, match='script=.*a.py: expected'):
    program.Program(script=path)
  path.write_text('one')
  one = program.Program(script=path).declared()
  path.write_text('two')
  two = program.Program(script=path, sha256=one['sha256']).declared()
  assert one == two and one['script'] == 'a.py'
  assert program.Program(script=path).declared() != one


def test_dequantized_points_are_mapped():
  x = np.array([[3.0, 0.5], [0.0, 2.0]])
  cells = mapping.dequantized(['integer', 'real'], x)
  y, log_det = mapping.mapped(['integer', 'real'], x)
  np.testing.assert_allclose(np.exp(y[..., 0]), cells[..., 0])
  np.testing.assert_array_equal(
      np.floor(cells[..., 0]), x[:, [0]] + np.zeros(16))
  np.testing.assert_allclose(log_det, -y[..., 0])
