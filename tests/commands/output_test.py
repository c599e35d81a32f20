"""The line of JSON is strict."""

import json

import pytest

from tf_resflow.commands import output


def test_numbers_that_are_not_finite_are_null(capsys):
  output.print_json({
      'a': float('nan'), 'b': [1.0, float('inf')], 'c': {'d': (2, None)}})
  (line,) = capsys.readouterr().out.splitlines()
  assert json.loads(line, parse_constant=pytest.fail) == {
      'a': None, 'b': [1.0, None], 'c': {'d': [2, None]}}


def test_notes_go_to_stderr(capsys):
  output.note('hello')
  assert capsys.readouterr() == ('', 'hello\n')
