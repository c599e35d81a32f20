"""Norms and comparisons of the checks."""

import numpy as np
import pytest

from tests.numerics.norms import induced_oracle
from tf_resflow.checks import subjects


@pytest.mark.parametrize('domain, codomain', [
    (1.0, 1.0), (2.0, 2.0), (np.inf, np.inf), (1.5, 3.0), (3.0, 1.5),
    (np.inf, 2.0), (2.0, 1.0)])
def test_induced_norms(domain, codomain):
  matrices = np.random.default_rng(0).normal(size=[3, 4, 5])
  assert subjects.induced_norm(matrices, domain, codomain) == pytest.approx(
      max(induced_oracle.brute_force(matrix, domain, codomain, num_starts=100)
          for matrix in matrices), rel=1e-6)


def test_the_worst_number_is_shown():
  expected = np.zeros([4, 2])
  subjects.close('y', expected + 1e-9, expected, 1e-8)
  for wrong, text in (
      ([[0, 0], [1e-3, 0.5], [0, 0.1], [0, 0]], 'y is 0.5 instead of 0.0'),
      ([[0, 0], [0.5, np.nan], [0, 0], [0, 0]], 'y is nan instead of 0.0')):
    with pytest.raises(subjects.CheckFailedError, match=text) as error:
      subjects.close('y', wrong, expected, 1e-8)
    assert error.value.example == 1
  with pytest.raises(
      subjects.CheckFailedError, match=r'has the shape \(1,\), not \(4, 2\)'):
    subjects.close('y', [0.0], expected)
