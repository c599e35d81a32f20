"""Texts of values."""

from tf_resflow.configuration import values


def test_text_of():
  texts = {value: values.text_of(value) for value in (
      False, None, 1e-7, 'None', (), (1,), ((1, True), None))}
  assert list(texts.values()) == [
      'false', 'none', '1e-07', 'None', '', '1', '1,true,none']


def test_parse():
  parsed = [values.parse(kind, text) for kind, text in (
      (bool, '1'), (bool, 'FALSE'), (int, '-12'), (float, '5e-324'),
      (str, 'True'))]
  assert list(map(repr, parsed)) == [
      'True', 'False', '-12', '5e-324', "'True'"]
