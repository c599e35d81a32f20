"""Warnings of columns that have no density, or hardly one."""

import numpy as np

from tf_resflow.columns import column_checks


def _warnings(caplog, *columns, types=()):
  caplog.clear()
  column_checks.warn_of_density(
    [f'c{i}' for i in range(len(columns))], np.stack(columns, axis=1),
    types or ['real'] * len(columns))
  return [record.getMessage() for record in caplog.records]


def test_marks_of_missing_values_are_named(caplog):
  a = np.random.default_rng(0).normal(50.0, 10.0, 200)
  for value, count, is_named in (
      (-999.0, 1, True), (2**31 - 1, 12, True), (500.0, 3, True),
      (500.0, 2, False), (110.0, 3, False)):
    marked = np.append(a, [value] * count)
    texts = _warnings(caplog, marked, marked[::-1] + np.arange(len(marked)))
    assert [text for text in texts if 'c0' in text] == is_named * [
        f'Column c0 has {value:.12g} in {count} of {200 + count} rows, far from'
        f' all others ({a.min():g} to {a.max():g}): if it stands for missing '
        'values, empty these cells.']
  # Two answers, and few values, are no marks.
  assert 'far from' not in str(_warnings(
      caplog, a, np.arange(200) % 2, np.arange(200) // 50 * 7.0**4))


def test_columns_without_a_density_are_warned_of(caplog):
  a, b = np.random.default_rng(0).normal(size=[2, 200])
  assert _warnings(caplog, a, b) == []
  # Rounded measurements pass.
  assert _warnings(caplog, a, np.round(b, 1)) == []
  (text,) = _warnings(caplog, a, np.round(b))
  assert 'Column c1 has only 8 distinct values in 200 rows' in text
  c = np.random.default_rng(1).normal(size=200)
  (text,) = _warnings(caplog, a, c, b, 2.0 * a - 3.0 * b + 1.0)
  assert 'The columns c0, c2, c3 are linearly dependent' in text
  few, more = (np.arange(200) % n for n in (6, 7))
  (text,) = _warnings(
    caplog, a, few, more, types=('real', 'integer', 'signed_integer'))
  assert text.startswith('Few different whole numbers are in c1 (6); samples')
  # Fewer rows than columns say nothing of it.
  assert _warnings(caplog, *np.eye(3)[:, :2] + a[:2]) == []


def test_atoms_are_named(caplog):
  rng = np.random.default_rng(0)
  x = np.exp(rng.normal(size=500))
  rain = np.where(rng.uniform(size=500) < 0.6, 0.0, x)
  clipped = np.where(np.arange(500) % 50 == 0, 7.5, x)  # 2 %.
  both = np.where(np.arange(500) % 3 == 0, 10.0, rain)
  texts = _warnings(caplog, x, rain, clipped, both)
  assert [text.partition(':')[0] for text in texts] == [
      f'Column c1 is 0 in {100 * np.mean(rain == 0):.0f} % of 500 rows',
      'Column c2 is 7.5 in 2 % of 500 rows',
      f'Column c3 is 0 in {100 * np.mean(both == 0):.0f} % of 500 rows']
  assert 'unbounded there' in texts[0]
  # Not among its like, in fewer rows, or in few rows of all.
  rounded = np.round(rng.normal(size=500), 1)
  rounded[:20] = rng.normal(size=20)
  for column, types in (
      (rounded, ('real',)), (np.append(x, [7.5] * 9), ('real',)),
      (rain[:100], ('real',)), (np.round(rain), ('integer',))):
    assert not column_checks.unbounded(['a'], column[:, None], types)


def test_heaps_are_named(caplog):
  """Of whole numbers and of real ones; zero, and chance, do not count."""
  rng = np.random.default_rng(0)
  age = np.round(rng.normal(50.0, 12.0, 800))
  age[:500] = 5.0 * np.round(age[:500] / 5.0)
  height = rng.normal(170.0, 10.0, 800)
  height[30:] = np.round(height[30:])
  zero = np.where(np.arange(800) % 4 > 0, 0.0, np.round(age + 0.3 * height))
  *_, text = _warnings(
      caplog, age, height, zero, np.round(9.0 * height),
      types=('integer', 'real', 'integer', 'integer'))
  assert text.endswith(
      f'smooth over: c0: 5 ({100 * np.mean(age % 5 == 0):.0f} %), c1: 1 (96 %).'
  )
