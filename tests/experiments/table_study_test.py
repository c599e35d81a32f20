"""The programs of the study of tables, on data whose entropy is known."""

import ast
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from tf_resflow.experiments import table_study
from tf_resflow.experiments import tables

_STUDY = table_study.TABLES


def _nats(case, folder, train, test, mapped=lambda x: x,
          log_det=lambda x: np.zeros(len(x))):
  """Returns the mean -log p of a program's density."""
  rows = {'train': train, 'validation': train[::5], 'points': test}
  np.savez(
      folder / 'rows.npz', **rows,
      **{f'mapped_{part}': mapped(x) for part, x in rows.items()},
      **{f'log_det_{part}': log_det(x) for part, x in rows.items()})
  script = os.fspath(_STUDY.cases[case].script)
  subprocess.run(
      [sys.executable, script, 'rows.npz', 'values.npz', '1'], cwd=folder,
      check=True)
  log_prob = np.load(folder / 'values.npz')['log_prob']
  return -log_prob[np.isfinite(log_prob)].mean()


def test_workloads_are_the_tables():
  assert list(_STUDY.workloads) == [*tables.TABLES, 'wine in folds']
  assert len(_STUDY.pending({})) == (12 * 3 + 15) * len(_STUDY.cases)


def test_gaussian_in_the_units_of_the_data(tmp_path):
  rng = np.random.default_rng(0)
  law = stats.multivariate_normal([1.0, -2.0], [[4.0, 1.0], [1.0, 3.0]])
  train, test = (law.rvs(2000, random_state=rng) for _ in range(2))
  scale = np.array([1e6, 1e-6])
  nats = _nats('gaussian', tmp_path, train, test, lambda x: scale * x - 1)
  assert nats == pytest.approx(-law.logpdf(test).mean(), abs=0.005)


@pytest.mark.parametrize('thickness', [1e-6, 0.0])
def test_gaussian_of_columns_that_depend_on_one_another(tmp_path, thickness):
  rng = np.random.default_rng(0)
  train, test = (rng.normal(size=[2000, 1]) + thickness * np.c_[
      np.zeros(2000), rng.normal(size=2000)] for _ in range(2))
  # Without thickness the variances are 2, and what is added to 0.
  expected = np.log(2 * np.pi) + 0.5 * np.log(thickness**2 or 2e-6) + (
      1.0 if thickness else 0.5)
  assert _nats('gaussian', tmp_path, train, test) == pytest.approx(
      expected, abs=0.05)


@pytest.mark.slow
def test_mixture_of_logarithms(tmp_path):
  """Two log-normal columns, each of them far away with probability 1/2."""
  rng = np.random.default_rng(0)
  laws = stats.lognorm(0.5), stats.lognorm(0.5, scale=100.0)
  train, test = (np.where(rng.random([1000, 1]) < 0.5, *(
      law.rvs([1000, 2], random_state=rng) for law in laws)) for _ in range(2))
  test[0, 0] = -1.0  # No logarithm.
  nats = _nats('mixture', tmp_path, train, test)
  test = test[1:]
  log_prob = np.logaddexp(
      *(law.logpdf(test).sum(axis=1) for law in laws)) - np.log(2)
  assert nats == pytest.approx(-log_prob.mean(), abs=0.02)


@pytest.mark.slow
def test_mixture_of_mapped_columns(tmp_path):
  """Sinh of two normal numbers: one Gaussian of their arsinh."""
  rng = np.random.default_rng(0)
  y, test = 3.0 * rng.normal(size=[2, 1000, 2])
  nats = _nats('mixture', tmp_path, np.sinh(y), np.sinh(test), np.arcsinh,
               lambda x: -0.5 * np.log1p(x**2).sum(axis=1))
  expected = stats.norm(scale=3.0).logpdf(test) - np.log(np.cosh(test))
  assert nats == pytest.approx(-expected.sum(axis=1).mean(), abs=0.02)


@pytest.mark.parametrize('case', [
    case for case in _STUDY.cases if case not in _STUDY.flows])
def test_programs_import_what_they_require(case):
  program = _STUDY.cases[case]
  tree = ast.parse(pathlib.Path(program.script).read_text())
  names = {name.partition('.')[0] for node in ast.walk(tree)
           for name in ([alias.name for alias in node.names] if isinstance(
               node, ast.Import) else [node.module] if isinstance(
                   node, ast.ImportFrom) else [])}
  installed = {'numpy', 'scipy', 'tf_resflow'}
  required = {r.partition('==')[0] for r in program.requirements}
  assert names - sys.stdlib_module_names <= (required or installed)
