"""Small edits of source text that change what it does: `tests.mutants`.

No edit touches what only people or tools read: strings, messages, logs,
`__repr__`, annotations, imports.
"""

import ast
from collections.abc import Iterator
import dataclasses
import pathlib
import random
import re

_SYMBOLS = {
    ast.Add: '+', ast.Sub: '-', ast.Mult: '*', ast.Div: '/',
    ast.FloorDiv: '//', ast.Mod: '%', ast.Pow: '**', ast.BitAnd: '&',
    ast.BitOr: '|', ast.And: 'and', ast.Or: 'or', ast.Lt: '<', ast.LtE: '<=',
    ast.Gt: '>', ast.GtE: '>=', ast.Eq: '==', ast.NotEq: '!=', ast.Is: 'is',
    ast.IsNot: 'is not', ast.In: 'in', ast.NotIn: 'not in'}
_OTHER_SYMBOLS = {
    '+': ['-'], '-': ['+'], '*': ['/'], '/': ['*'], '//': ['*'], '%': ['//'],
    '**': ['*'], '&': ['|'], '|': ['&'], 'and': ['or'], 'or': ['and'],
    '<': ['<=', '>'], '<=': ['<', '>='], '>': ['>=', '<'], '>=': ['>', '<='],
    '==': ['!='], '!=': ['=='], 'is': ['is not'], 'is not': ['is'],
    'in': ['not in'], 'not in': ['in']}
_PAIRS = (
    ('min', 'max'), ('minimum', 'maximum'), ('reduce_min', 'reduce_max'),
    ('argmin', 'argmax'), ('reduce_sum', 'reduce_mean'), ('any', 'all'),
    ('reduce_any', 'reduce_all'), ('sin', 'cos'), ('floor', 'ceil'),
    ('zeros', 'ones'), ('zeros_like', 'ones_like'))
_OTHER_FUNCTIONS = dict(_PAIRS) | {b: a for a, b in _PAIRS}
# Of these functions only the first argument, a condition, is more than words.
_CHECKS = {'check', 'check_format', 'require', 'Assert'}
# These only speak, or say what a type is.
_SPEAKERS = re.compile(
    r'^_?(logging|logger|warnings)\.|(^|\.)(note|refusing|TypeVar|\w+Error)$')
# Arguments that speak, or guard against what nobody does.
_WORDS = {
    'description', 'doc', 'encoding', 'flush', 'frozen', 'help', 'homepage',
    'kw_only', 'message', 'name', 'strict', 'verbose'}
# Containers and texts have no arithmetic worth an edit.
_CONTAINERS = (ast.List, ast.Tuple, ast.ListComp, ast.Dict, ast.Set)


@dataclasses.dataclass(frozen=True)
class Edit:
  """A part of a file and what takes its place.

  Attributes:
    path: of the file, from the root of the checkout.
    line: where the part starts, from 1.
    column: likewise, in bytes.
    kind: of the edit.
    start: of the part, in bytes from the start of the file.
    old: the part.
    new: what takes its place.
  """

  path: str
  line: int
  column: int
  kind: str
  start: int
  old: str
  new: str

  @property
  def name(self) -> str:
    """The name of the edit."""
    return f'{self.path}:{self.line}:{self.column}:{self.kind}'

  def apply(self, text: str) -> str:
    """Returns the text of the file with the edit."""
    data = text.encode()
    end = self.start + len(self.old.encode())
    assert data[self.start:end] == self.old.encode(), self
    return (data[:self.start] + self.new.encode() + data[end:]).decode()

  def lines(self, text: str) -> tuple[str, str]:
    """Returns the lines that it touches, before and after, each as one."""
    before, after = text.encode(), self.apply(text).encode()
    start = before.rfind(b'\n', 0, self.start) + 1
    end = before.find(b'\n', self.start + len(self.old.encode()))
    end = len(before) if end < 0 else end
    return tuple(' '.join(part.decode().split()) for part in (
        before[start:end], after[start:end + len(after) - len(before)]))


def _name(node):
  """Returns the last name of `a.b.c` or `c`, else ''."""
  return getattr(node, 'attr', getattr(node, 'id', ''))


def _is_text(node):
  return isinstance(node, ast.JoinedStr) or isinstance(
      getattr(node, 'value', None), str)


def _speaks(node):
  return isinstance(node, ast.Call) and bool(
      _SPEAKERS.search(ast.unparse(node.func)))


def _is_check(call):
  return _name(call.func).lstrip('_') in _CHECKS


def _children(node: ast.AST) -> Iterator[ast.AST]:
  """Yields the parts of a node in which there may be edits."""
  match node:
    case ast.Import() | ast.ImportFrom() | ast.Raise() | ast.JoinedStr():
      pass
    case ast.FunctionDef(name='__repr__'):
      pass
    case ast.FunctionDef() | ast.Lambda():
      yield from getattr(node, 'decorator_list', ())
      yield from node.args.defaults
      yield from filter(None, node.args.kw_defaults)
      yield from [node.body] if isinstance(node, ast.Lambda) else node.body
    case ast.AnnAssign():
      yield from filter(None, [node.value])
    case ast.Assign() if '__all__' in ast.unparse(node.targets):
      pass
    case ast.If() if 'TYPE_CHECKING' in ast.unparse(node.test):
      yield from node.orelse
    case ast.Assert():
      yield node.test
    case ast.Call() if _speaks(node):
      pass
    case ast.Call() if _is_check(node):
      yield from node.args[:1]
    case ast.Call():
      yield node.func
      yield from node.args
      yield from (k.value for k in node.keywords
                  if k.arg not in _WORDS and not _axis(k))
    case _:
      yield from ast.iter_child_nodes(node)


def _axis(keyword):
  """Returns the number of `axis=NUMBER` as a list, else an empty one."""
  text = ast.unparse(keyword.value)
  return [int(text)] if keyword.arg in ('axis', 'axes') and re.fullmatch(
      r'-?\d+', text) else []


def _other_numbers(value):
  if isinstance(value, bool):
    return [str(not value)]
  if isinstance(value, float):
    # A tolerance has to change by more to make a difference.
    factor = 2.0 if abs(value) > 1e-3 else 100.0
    return [repr(value * factor), repr(value / factor)] if value else ['1.0']
  if isinstance(value, int):
    return [str(n) for n in (
        {0: [1], 1: [0, 2]}.get(value) or (
            [value - 1, value + 1] if value < 10
            else [value // 2, 2 * value]))]
  return []


def _other_value(function, text):
  """Returns what a function may return in place of an expression."""
  returns = getattr(function, 'returns', None)
  annotation = ast.unparse(returns) if returns else ''
  if annotation.endswith('| None'):
    return 'None'
  return {'bool': f'not ({text})', 'int': '0', 'float': '0.0',
          'tf.Tensor': f'0 * ({text})'}.get(annotation)


class _Finder:
  """All edits of a text: kind, place in bytes, and what may stand there."""

  def __init__(self, text):
    self._data = text.encode()
    self._starts = [0]
    for line in self._data.splitlines(keepends=True):
      self._starts.append(self._starts[-1] + len(line))

  def _span(self, node):
    return (self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset)

  def _text(self, node):
    return self._data[slice(*self._span(node))].decode()

  def _symbol(self, kind, left, right, op, suffix=''):
    """Yields an edit of the operator between two nodes."""
    symbol = _SYMBOLS.get(type(op))
    if symbol is None or kind == 'arithmetic' and any(
        isinstance(part, _CONTAINERS) or _is_text(part)
        for part in (left, right)):
      return
    end = self._span(left)[1]
    gap = self._data[end:self._span(right)[0]].decode()
    pattern = re.escape(symbol + suffix).replace(r'\ ', r'\s+')
    # Not in a comment.
    found = re.search(rf'^(?:[^#]|#.*\n)*?({pattern})', gap)
    yield (kind, end + len(gap[:found.start(1)].encode()), found[1],
           [new + suffix for new in _OTHER_SYMBOLS[symbol]])

  def _replaced(self, kind, node, *news):
    yield kind, self._span(node)[0], self._text(node), list(news)

  def _calls(self, node):
    """Yields edits of a call: another function, keywords dropped, axes."""
    name = _name(node.func)
    if name in _OTHER_FUNCTIONS:
      yield ('function', self._span(node.func)[1] - len(name), name,
             [_OTHER_FUNCTIONS[name]])
    keywords = [] if _speaks(node) or _is_check(node) else node.keywords
    for keyword in keywords:
      if keyword.arg in (None, *_WORDS):
        continue
      start, end = self._span(keyword)
      # With the comma behind it, if there is one.
      end += re.match(rb'(\s*,\s*)?', self._data[end:]).end()
      yield 'keyword', start, self._data[start:end].decode(), ['']
      for axis in _axis(keyword):
        yield from self._replaced('axis', keyword.value, *(
            str(other) for other in (-1, 0, 1) if other != axis))

  def find(self, node, function=None):
    """Yields the edits of a node and of what is below it."""
    match node:
      case ast.BinOp():
        yield from self._symbol('arithmetic', node.left, node.right, node.op)
      case ast.AugAssign():
        yield from self._symbol(
            'arithmetic', node.target, node.value, node.op, '=')
        if not _is_text(node.value):
          yield from self._replaced('statement', node, 'pass')
      case ast.Compare():
        operands = [node.left, *node.comparators]
        for left, right, op in zip(operands, operands[1:], node.ops,
                                   strict=False):
          yield from self._symbol('comparison', left, right, op)
      case ast.BoolOp():
        for left, right in zip(node.values, node.values[1:], strict=False):
          yield from self._symbol('logic', left, right, node.op)
      case ast.UnaryOp(op=ast.Not()):
        yield from self._replaced(
            'negation', node, self._text(node).removeprefix('not').lstrip())
      case ast.UnaryOp(op=ast.USub() | ast.Invert()):
        yield from self._replaced('sign', node, self._text(node)[1:].lstrip())
      case ast.Constant(value=value):
        kind = 'boolean' if isinstance(value, bool) else 'number'
        yield from self._replaced(kind, node, *_other_numbers(value))
      case ast.Return(value=ast.expr() as value) if not isinstance(
          value, ast.Constant):
        text = _other_value(function, self._text(value))
        yield from self._replaced('return', value, *filter(None, [text]))
      case ast.Expr(value=ast.Call()) if not _speaks(node.value):
        yield from self._replaced('statement', node, 'pass')
      case ast.Call():
        yield from self._calls(node)
    tests = getattr(node, 'ifs', None) or [getattr(node, 'test', None)]
    for test in tests:
      # `not` and comparisons are edited elsewhere; `while True` has no other.
      if test is not None and not isinstance(
          test, ast.Constant | ast.UnaryOp | ast.Compare) and not isinstance(
              node, ast.Assert) and 'TYPE_CHECKING' not in self._text(test):
        yield from self._replaced(
            'condition', test, f'not ({self._text(test)})')
    for child in _children(node):
      yield from self.find(
          child, node if isinstance(node, ast.FunctionDef) else function)


def find(path: str, text: str) -> Iterator[tuple[Edit, list[str]]]:
  """Yields all places of a file for edits, each with what may stand there."""
  finder = _Finder(text)
  for kind, start, old, news in finder.find(ast.parse(text)):
    before = text.encode()[:start]
    if news:
      yield Edit(path, before.count(b'\n') + 1,
                 start - before.rfind(b'\n'), kind, start, old, news[0]), news


def works(edit: Edit, text: str) -> bool:
  """Whether a file with the edit is another program."""
  try:
    tree = compile(edit.apply(text), edit.path, 'exec', ast.PyCF_ONLY_AST)
    compile(tree, edit.path, 'exec')
  except SyntaxError:
    return False
  return ast.dump(tree) != ast.dump(ast.parse(text))


def shuffled(root: pathlib.Path, folder: str, seed: str) -> Iterator[Edit]:
  """Yields the edits of all files below a folder, in random order.

  Files `__init__.py` are left out: they say what is public.
  """
  texts = {path.relative_to(root).as_posix(): path.read_text()
           for path in sorted((root / folder).rglob('*.py'))
           if path.stem != '__init__'}
  places = [place for path, text in texts.items() for place in find(path, text)]
  random.Random(seed).shuffle(places)
  for edit, news in places:
    new = random.Random(f'{seed} {edit.name}').choice(news)
    edit = dataclasses.replace(edit, new=new)
    if works(edit, texts[edit.path]):
      yield edit
