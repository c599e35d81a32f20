"""Texts of values."""

import pytest

from tf_resflow.configuration import values


@pytest.mark.parametrize('value, text', [
    (False, 'false'), (None, 'none'), (1e-7, '1e-07'), ('None', 'None'),
    ((), ''), ((1,), '1'), (((1, True), None), '1,true,none')])
def test_text_of(value, text):
  assert values.text_of(value) == text


@pytest.mark.parametrize('kind, text, value', [
    (bool, '1', True), (bool, 'FALSE', False), (int, '-12', -12),
    (float, '5e-324', 5e-324), (str, 'True', 'True')])
def test_parse(kind, text, value):
  parsed = values.parse(kind, text)
  assert parsed == value and type(parsed) is kind
  with pytest.raises(ValueError):
    values.parse(bool, 'maybe')
