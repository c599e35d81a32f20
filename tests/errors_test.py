"""The one dialect of errors."""

import pickle

import pytest

from tf_resflow import errors


def test_messages():
  for arguments, message in (
      (('num_steps', 0, 'a number >= 1'),
       'num_steps=0: expected a number >= 1.'),
      (('split', 'all', 'train or test', 'Give one.'),
       'split=all: expected train or test. Give one.'),
      (('x', None, 'a tensor'), 'x=None: expected a tensor.'),
      (('it is as it is.',), 'it is as it is.')):
    error = errors.InvalidValueError(*arguments)
    assert isinstance(error, ValueError)
    assert str(error) == message


def test_errors_that_are_made_anew_from_their_message():
  """As Keras and pickle do."""
  error = errors.InvalidValueError('x', 1, 'two', 'Add one.')
  assert str(type(error)(str(error))) == str(error)
  assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_checks():
  errors.check(True, 'x', 1, 'two')
  with pytest.raises(errors.InvalidValueError, match='^x=1: expected two.$'):
    errors.check(False, 'x', 1, 'two')
  with pytest.raises(errors.InvalidValueError, match='^x is odd. Add 1.$'):
    errors.check(False, 'x', problem='is odd', advice='Add 1.')


def test_errors_of_formats():
  errors.check(True, problem='It is no file of images.')
  with pytest.raises(errors.FormatError) as info:
    errors.check(False, problem='It is no file of images.')
  assert str(info.value) == 'It is no file of images.'
  # Who reads the file adds its name: it is no refused argument yet.
  assert not isinstance(info.value, errors.InvalidValueError)
  with pytest.raises(errors.InvalidValueError) as info:
    with errors.format_errors('dataset', 'images:x', 'a folder'):
      errors.check(False, problem='It is a file.')
  assert str(info.value) == 'dataset=images:x: expected a folder. It is a file.'
  with pytest.raises(ZeroDivisionError), errors.format_errors('x', 1, 'two'):
    _ = 1 / 0


def test_expected_errors_are_no_bad_values():
  # A right program with right values: nothing that `except ValueError` hides.
  assert not issubclass(errors.ExpectedError, ValueError)


def test_sentence():
  for text, sentence in (
      ('two\nlines', 'two lines.'), ('one.', 'one.'), ('  a   b...', 'a b.'),
      ('', 'RuntimeError.'), (
          '{{function_node __wrapped__SaveV2_dtypes_250_device_/job:localhost}}'
          ' a/ckpt; No space left [Op:SaveV2] name: ',
          'a/ckpt; No space left.')):
    assert errors.sentence(RuntimeError(text)) == sentence
