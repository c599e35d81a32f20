"""Texts of values."""

import pytest

from tf_resflow.configuration import values


@pytest.mark.parametrize('value, text', [
    (True, 'true'), (False, 'false'), (None, 'none'), (3, '3'), (-0.5, '-0.5'),
    (1e-7, '1e-07'), ('None', 'None'), ('a b', 'a b'), ((), ''), ((1,), '1'),
    ((1, 2.5), '1,2.5'), (((1, True), None), '1,true,none')])
def test_text_of(value, text):
  assert values.text_of(value) == text


@pytest.mark.parametrize('value', [
    True, False, 0, -12, 10**20, 0.1 + 0.2, 5e-324, float('inf'), 'True', ''])
def test_parse_reads_what_text_of_writes(value):
  parsed = values.parse(type(value), values.text_of(value))
  assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize('text, value', [
    ('True', True), ('FALSE', False), ('1', True), ('f', False)])
def test_booleans_are_those_of_absl(text, value):
  assert values.parse(bool, text) is value


@pytest.mark.parametrize('kind, text', [
    (bool, 'maybe'), (bool, ''), (bool, '2'), (int, '2.5'), (int, ''),
    (float, 'fast'), (float, '1,5')])
def test_texts_that_are_no_value(kind, text):
  with pytest.raises(ValueError):
    values.parse(kind, text)
