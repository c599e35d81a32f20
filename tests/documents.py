"""The code of README.md and docs/: finds its blocks and runs the Python.

To run a page as it stands, in the folder in which its files shall appear:

    python -m tests.documents docs/tfp.md
"""

import itertools
import pathlib
import re
import shlex
import sys
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent

_BLOCK = re.compile(r'^```python\n(.*?)^```$', re.DOTALL | re.MULTILINE)
_SHELL = re.compile(r'^```bash\n(.*?)^```$', re.DOTALL | re.MULTILINE)
_OPERATORS = ('&&', '|', '>', ';', '||')
# What tests make of the lengths of training and of Markov chains.
_SHORT = 2
_LENGTH = re.compile(r'^(\s*num_\w+ = )\d+$', re.MULTILINE)


class Block(NamedTuple):
  """A fenced block of Python: where it starts, and its text."""

  line: int
  code: str


class Command(NamedTuple):
  """A call of one of the tools: its name, and its arguments."""

  tool: str
  arguments: tuple[str, ...]


def pages() -> list[pathlib.Path]:
  """README.md and the pages of docs/."""
  return [ROOT / 'README.md', *sorted(ROOT.glob('docs/**/*.md'))]


def python_blocks(text: str) -> list[Block]:
  """Returns the fenced blocks of Python in a text."""
  return [
      Block(text.count('\n', 0, match.start(1)) + 1, match[1])
      for match in _BLOCK.finditer(text)]


def commands(text: str) -> list[Command]:
  """Returns the calls of tools in the fenced blocks of shell in a text.

  These are `bin/TOOL ...` and `tf_resflow TOOL ...`, whatever stands before.
  """
  found = []
  for block in _SHELL.findall(text):
    for line in block.replace('\\\n', ' ').splitlines():
      if 'bin/' in line or 'tf_resflow ' in line:
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        for is_call, call in itertools.groupby(
            words, lambda word: word not in _OPERATORS):
          found += _calls(list(call)) if is_call else []
  return found


def _calls(words):
  """The call among the words of one command, if there is one."""
  for i, word in enumerate(words):
    path = pathlib.PurePosixPath(word)
    if path.name == 'tf_resflow':
      return [Command(words[i + 1], tuple(words[i + 2:]))]
    if path.parts[:-1] == ('bin',):
      return [Command(path.name, tuple(words[i + 1:]))]
  return []


def shorten(code: str) -> str:
  """Replaces the numbers of lines `num_... = NUMBER`."""
  return _LENGTH.sub(rf'\g<1>{_SHORT}', code)


def run(page: pathlib.Path, stand_alone=False, names=(), is_short=False):
  """Runs the blocks of a page, one after another.

  Args:
    page: the file.
    stand_alone: whether every block starts anew, or where the last one ended.
    names: pairs of names and values that every start is given.
    is_short: whether to `shorten` the blocks.

  Returns:
    The names that the last block left.
  """
  scope = dict(names)
  blocks = python_blocks(page.read_text())
  assert blocks, f'{page} has no block of Python.'
  for line, code in blocks:
    if stand_alone:
      scope = dict(names)
    if is_short:
      code = shorten(code)
    # Line breaks before, so that tracebacks show the line of the page.
    exec(compile('\n' * (line - 1) + code, str(page), 'exec'), scope)
  return scope


if __name__ == '__main__':
  run(pathlib.Path(sys.argv[1]).resolve())
