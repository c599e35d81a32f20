"""The code of README.md and docs/: finds its blocks and runs the Python.

To run a page as it stands, in the folder in which its files shall appear, or to
make its tables anew from the logs in docs/studies and docs/logs:

    python -m tests.documents docs/tfp.md
    python -m tests.documents --rebuild docs/paper.md
"""

import importlib
import itertools
import pathlib
import re
import shlex
import sys
from typing import NamedTuple

from tf_resflow.experiments import paper
from tf_resflow.experiments import study_log
from tf_resflow.experiments import study_report

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / 'docs' / 'studies'

_BLOCK = re.compile(r'^```python\n(.*?)^```$', re.DOTALL | re.MULTILINE)
_SHELL = re.compile(r'^```bash\n(.*?)^```$', re.DOTALL | re.MULTILINE)
# What is made of a log of a study or of a script of docs/, or of published
# values: <!-- study: NAME --> ... .
_MADE = re.compile(
    r'^<!-- (study|log|published): (\w+) -->\n(.*?)^<!-- end -->$',
    re.DOTALL | re.MULTILINE)
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


def made(text: str) -> list[tuple[str, str]]:
  """Returns the kinds and names of the tables of a page that are made."""
  return [(match[1], match[2]) for match in _MADE.finditer(text)]


def rebuilt(text: str) -> str:
  """Returns a page with its tables made anew."""
  return _MADE.sub(
      lambda match: f'<!-- {match[1]}: {match[2]} -->\n'
      f'{_made(match[1], match[2])}\n<!-- end -->', text)


def _made(kind, name):
  if kind == 'published':
    return study_report.markdown(paper.published(name))
  if kind == 'log':
    return importlib.import_module(f'docs.{name}').tables(
        ROOT / 'docs' / 'logs' / f'{name}.jsonl')
  _, study, records = study_log.read(LOGS / f'{name}.jsonl')
  return study_report.text(study, records)


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
  *options, path = sys.argv[1:]
  if options == ['--rebuild']:
    page = pathlib.Path(path)
    page.write_text(rebuilt(page.read_text()))
  else:
    run(pathlib.Path(path).resolve())
