"""The study of docs/induced_norms.md: its claims, on fewer operators."""

import pytest

from docs import induced_study


@pytest.mark.slow
def test_what_the_page_claims(tmp_path, capsys):
  assert induced_study.main([
      '--num_operators=8', '--num_starts=200',
      f'--output={tmp_path / "norms"}']) == 0
  captured = capsys.readouterr()
  assert '200 of 200 norms' in captured.err
  for row in ('| 2 -> 2 | 8 |', '| inf -> 1 |', '| p > q, nonnegative |'):
    assert row in captured.out
  assert (tmp_path / 'norms.png').stat().st_size > 10_000
