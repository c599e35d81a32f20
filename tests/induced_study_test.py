"""The study of docs/induced_norms.md: its claims, on fewer operators."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.numerics.norms import induced_cases
from tests.numerics.norms import induced_study
from tf_resflow import errors
from tf_resflow.layers.lipschitz import operator_norms


@pytest.mark.slow
def test_what_the_page_claims(tmp_path, capsys):
  assert induced_study.main([
      '--num_operators=24', '--num_starts=200',
      f'--output={tmp_path / "norms"}']) == 0
  captured = capsys.readouterr()
  assert '600 of 600 norms' in captured.err
  for table in ('| 2 -> 2 | 24 |', '| inf -> 1 |', '| p > q, nonnegative |'):
    assert table in captured.out
  assert (tmp_path / 'norms.png').stat().st_size > 10_000


_RECORD = induced_study.Record(
    induced_cases.Case('gaussian', np.eye(2)), 3.0, 1.5, brute=1.0,
    estimates={1: 1.0}, converged={1: 1.0}, upper=1.2)


@pytest.mark.parametrize('changes, complaint', [
    ({}, None),
    ({'exact': 1.0 + 1e-7}, None),
    ({'exact': 1.0 + 1e-5}, 'exact'),
    ({'exact': 1.0 - 1e-5}, 'exact'),
    # Brute force that was short, and is not with further starts.
    ({'exact': 1.1, 'with_telling': 1.1}, None),
    ({'exact': 1.1, 'with_telling': 1.05}, 'exact'),
    ({'estimates': {1: 1.1}}, None),
    ({'estimates': {1: 1.3}}, 'upper bound above'),
    ({'upper': 0.999}, 'upper bound above'),
    ({'unattained': 1e-6}, 'estimate attained')])
def test_complaints(changes, complaint):
  found = induced_study.complaints([dataclasses.replace(_RECORD, **changes)])
  assert len(found) == (complaint is not None)
  assert not found or f'not {complaint}:' in found[0]


def test_what_exceeds_brute_force():
  assert not _RECORD.is_brute_short and _RECORD.looseness == 1.2
  record = dataclasses.replace(_RECORD, estimates={1: 1.0, 3: 1.1})
  assert record.is_brute_short and record.known == 1.1
  assert record.shortfall(1) == pytest.approx(1.0 - 1.0 / 1.1)
  assert record.shortfall(3) == 0.0


def test_operators():
  cases = induced_cases.make_cases(208)
  for case, again in zip(cases[:4], induced_cases.make_cases(4), strict=True):
    np.testing.assert_array_equal(case.kernel, again.kernel)
  convolutions = [case for case in cases if case.spatial_shape]
  assert len(convolutions) == 104
  assert any(size < taps for case in convolutions for size, taps in zip(
      case.spatial_shape, case.kernel.shape[:2], strict=True))
  assert {case.kernel.shape[:2] for case in convolutions} == {
      (3, 3), (1, 3), (5, 5), (1, 1)}
  assert sum(case.is_nonnegative for case in cases) > 60
  sizes = {size for case in cases if not case.spatial_shape
           for size in case.kernel.shape}
  assert min(sizes) == 2 and max(sizes) == 24


@pytest.mark.parametrize('row, expected', [
    ([1.0, -1.0], 1.8), ([1.0, 1.0], 2.2)])
def test_signs_of_the_start_matter_to_a_nonnegative_kernel(row, expected):
  """From (1, -1) the method stays at a critical point below the norm."""
  kernel = tf.constant([[1.0, 0.1], [0.1, 1.0]], tf.float64)
  assert float(operator_norms.ESTIMATE.follow(
      kernel, tf.constant([row], tf.float64), None, np.inf, 1.0, 1e-12, 100,
      tf.constant(3)).norm) == pytest.approx(expected)


@pytest.mark.parametrize('name', ['num_operators', 'num_starts'])
def test_refusals(name):
  with pytest.raises(errors.InvalidValueError, match=f'{name}=0'):
    induced_study.main([f'--{name}=0'])
