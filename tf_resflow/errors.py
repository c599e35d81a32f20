"""The errors that are no defects: values that are refused, runs that end.

One dialect of messages: what was given, what was expected, what to do.
"""


class InvalidValueError(ValueError):
  """A value is refused: `NAME=VALUE: expected WHAT. ADVICE`.

  Args:
    name: of the argument, field or flag that holds the value.
    value: what was given.
    expected: what would be right, without a full stop.
    advice: what to do, one or more sentences; may be left out.

  Example:
    >>> raise InvalidValueError('num_steps', 0, 'a number from 1')
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: num_steps=0: expected a number from 1.
  """

  # Keras turns an error within `call` into one of many lines, but for those
  # with this attribute: it has no public way to say that one is clear as it is.
  _keras_call_info_injected = True

  # Keras and pickle make an error anew from its message, which is then `name`.
  def __init__(self, name: str, value: object = None, expected: str = '',
               advice: str = ''):
    self.name = name
    self.value = value
    self.expected = expected
    self.advice = advice
    super().__init__(self.message(name))

  def message(self, name: str) -> str:
    """Returns the message under another name, such as that of a flag."""
    if not self.expected:
      return name
    return (f'{name}={self.value}: expected {self.expected}. '
            f'{self.advice}').rstrip()


def check(condition: bool, name: str, value: object, expected: str,
          advice: str = '') -> None:
  """Raises `InvalidValueError` unless `condition` holds."""
  if not condition:
    raise InvalidValueError(name, value, expected, advice)


class FormatError(ValueError):
  """Why the bytes of a file are refused; who reads the file adds its name."""


def check_format(condition: bool, reason: str) -> None:
  """Raises `FormatError` unless `condition` holds."""
  if not condition:
    raise FormatError(reason)


class ExpectedError(RuntimeError):
  """What may happen to a right program with right values; it says what to do.

  Attributes:
    exit_status: of a tool that ends with it.
  """

  exit_status = 2


def sentence(error: Exception) -> str:
  """Returns the message of another error as one line with a full stop."""
  return ' '.join(str(error).split()).rstrip('.') + '.'
