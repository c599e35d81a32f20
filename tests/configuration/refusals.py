"""What is said of values that are refused, in tables of many."""

import re

from tf_resflow import errors


def message_of(call, *args, **kwargs):
  """Returns the message of the `InvalidValueError` of a call, or that it lacks.
  """
  try:
    call(*args, **kwargs)
  except errors.InvalidValueError as error:
    return str(error)
  return 'It is not refused.'


def check(call, cases):
  """Checks what is said of values, one line each, and names all that differ.

  Args:
    call: of one value, which refuses it.
    cases: pairs of a value and the beginning of the message, in which `...`
      stands for any text.
  """
  wrong = []
  for value, expected in cases:
    text = message_of(call, value)
    pattern = '.*'.join(map(re.escape, expected.split('...')))
    if not re.match(pattern, text) or '\n' in text or len(text) > 1000:
      wrong.append(f'{value!r:.200}:\n{text:.1000}\nnot: {expected}')
  assert not wrong, '\n\n'.join(wrong)


def keywords(function):
  """Returns a function of one dict of arguments, by name."""
  return lambda values: function(**values)
