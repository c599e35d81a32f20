"""Amortised inference of docs/posterior.md is calibrated."""

import pathlib

import pytest

from tests import documents
from tf_resflow import evaluation

_PAGE = documents.ROOT / 'docs' / 'posterior.md'


@pytest.mark.slow
def test_ranks_are_uniform_and_those_of_a_narrow_posterior_are_not(
    tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  scope, blocks = {}, documents.python_blocks(_PAGE.read_text())[:3]
  # As the heading of the posterior says.
  assert len([line for line in blocks[1].code.splitlines() if line]) == 20
  for line, code in blocks:
    # An eighth of the steps is enough for that.
    code = code.replace('num_steps = 4000', 'num_steps = 500')
    exec(compile('\n' * (line - 1) + code, str(_PAGE), 'exec'), scope)
  assert scope['num_steps'] == 500
  assert scope['num_simulations'] == 500 and scope['band'].level == 0.99
  # With 99 % of both parameters a right one would fail one time in fifty.
  band = evaluation.statistics.simultaneous_band(
      scope['num_simulations'], scope['num_draws_each'], 0.9999)
  for name in ('theta 1', 'theta 2'):
    assert band.holds(scope['ranks'][name]), name
    assert not scope['band'].holds(scope['narrow_ranks'][name]), name
  assert pathlib.Path('ranks.png').stat().st_size > 1000
