"""Errors that say what was given, what was expected and what to do."""

from collections.abc import Iterable, Iterator
import contextlib
import difflib
import logging
import re
import sys
from typing import Any


class InvalidValueError(ValueError):
  """A value is refused: `NAME=VALUE: expected WHAT. ADVICE`.

  Where the value is right by itself but does not go with others, the message
  is `NAME=VALUE PROBLEM. ADVICE`, without a value that is None.

  Args:
    name: of the argument, field or flag that holds the value.
    value: what was given.
    expected: what would be right, without a full stop.
    advice: what to do, one or more sentences; may be left out.
    problem: what is wrong, such as `requires --inputs`, without a full stop.

  Example:
    >>> raise InvalidValueError('num_steps', 0, 'a number >= 1')
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: num_steps=0: expected a number >= 1.
  """

  # Keras turns an error within `call` into one of many lines, but for those
  # with this attribute: it has no public way to say that one is clear as it is.
  _keras_call_info_injected = True

  # Keras and pickle make an error anew from its message, which is then `name`.
  def __init__(self, name: str, value: object = None, expected: str = '',
               advice: str = '', *, problem: str = ''):
    self.name = name
    self.value = value
    self.expected = expected
    self.advice = advice
    self.problem = problem
    super().__init__(self.message(name))

  def message(self, name: str) -> str:
    """Returns the message under another name, such as that of a flag."""
    if self.problem:
      value = '' if self.value is None else f'={self.value}'
      return f'{name}{value} {self.problem}. {self.advice}'.rstrip()
    if not self.expected:
      return name
    return (f'{name}={self.value}: expected {self.expected}. '
            f'{self.advice}').rstrip()


def did_you_mean(name: str, names: Iterable[str]) -> str:
  """Returns the question that names the most similar name, or nothing."""
  return ' '.join(f'Did you mean {guess}?' for guess in
                  difflib.get_close_matches(name, list(names), n=1))


def check(ok: object, name: str = '', value: object = None, expected: str = '',
          advice: str = '', *, problem: str = '') -> None:
  """Raises `InvalidValueError` unless `ok`; without a name `FormatError`.

  Args:
    ok: whether the value is accepted.
    name, value, expected, advice, problem: see `InvalidValueError`.

  Example:
    >>> check(3 >= 1, 'num_steps', 3, 'a number >= 1')
    >>> check(False, 'top', 3, problem='requires --inputs')
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: top=3 requires --inputs.
  """
  if not ok and name:
    raise InvalidValueError(name, value, expected, advice, problem=problem)
  if not ok:
    raise FormatError(problem)


class FormatError(ValueError):
  """Why the bytes of a file are refused; who reads the file adds its name."""


@contextlib.contextmanager
def format_errors(name: str, value: object, expected: str) -> Iterator[None]:
  """Inside, a `FormatError` becomes an `InvalidValueError` with that advice."""
  try:
    yield
  except FormatError as error:
    raise InvalidValueError(name, value, expected, str(error)) from None


class ExpectedError(RuntimeError):
  """An expected failure at run time, reported without a traceback."""

  exit_status = 2  # Of a tool that ends with it.


def sentence(error: Exception | str) -> str:
  """Returns the message of an error as one line, without TensorFlow's places.
  """
  text = str(error) or type(error).__name__
  text = re.sub(r'\{\{.*?\}\}|\[Op:.*', '', text, flags=re.DOTALL)
  return ' '.join(text.split()).rstrip('.') + '.'


class PlainFormatter(logging.Formatter):
  """Formats a message as itself; from warnings on, its level stands first."""

  def format(self, record: logging.LogRecord) -> str:
    text = super().format(record)
    return text if record.levelno < logging.WARNING else (
        f'{record.levelname.lower()}: {text}')


@contextlib.contextmanager
def printed_log() -> Iterator[bool]:
  """Prints what the package logs inside, unless the program shows it itself.

  Yields whether it is printed here, on stdout.
  """
  logger = logging.getLogger('tf_resflow')
  if logger.isEnabledFor(logging.INFO):
    yield False
    return
  handler, previous = logging.StreamHandler(sys.stdout), logger.level
  handler.setFormatter(PlainFormatter())
  logger.addHandler(handler)
  logger.setLevel(logging.INFO)
  logger.propagate = False
  try:
    yield True
  finally:
    logger.removeHandler(handler)
    logger.setLevel(previous)
    logger.propagate = True


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[str]]:
  """Yields a list of the warnings that the package logs inside."""
  found: list[str] = []
  handler: Any = logging.Handler(logging.WARNING)
  handler.emit = lambda record: found.append(record.getMessage())
  logger = logging.getLogger('tf_resflow')
  logger.addHandler(handler)
  try:
    yield found
  finally:
    logger.removeHandler(handler)
