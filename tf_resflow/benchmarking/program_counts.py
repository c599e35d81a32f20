"""What a StableHLO program does, counted in its text, before any compiler.

Products and convolutions, with their operations, loop by loop, since how often
a loop runs may depend on numbers. What no output depends on is left out: every
compiler drops it. TensorFlow leaves much of it, such as the gradient in a
kernel beside each vector-Jacobian product of a convolution.
"""

import collections
import dataclasses
import math
import re
from typing import Any, NamedTuple

from tf_resflow import errors

_FUNCTION = re.compile(r'\s*func\.func (?:\w+ )?@([\w.$-]+)\(')
_RESULT = re.compile(r'\s*(%[\w$.-]+)(?::\d+)? = ')
_NAME = re.compile(r'%[\w$.-]+')
_CALL = re.compile(r'\bcall @([\w.$-]+)\(')
_CUSTOM_CALL = re.compile(r'stablehlo\.custom_call @([\w.$-]+)\(')
_PRODUCT = re.compile(r'stablehlo\.(dot_general|dot|convolution)\b')
_TYPES = re.compile(
    r': \(tensor<([^<>]*)>, tensor<([^<>]*)>\) -> tensor<([^<>]*)>')
_CONTRACTING = re.compile(r'contracting_dims = \[([\d, ]*)\] x \[')
_KERNEL_DIMS = re.compile(r'dim_numbers = \[[^\]]*\]x\[([^\]]*)\]->')
_ARGUMENT = re.compile(r'%arg\d+: tensor<([^<>]*)>')
# Of the function that a loop calls for its condition: what TensorFlow named it.
# Without the branches that it stands in.
_LOOP_OF_CONDITION = re.compile(r'(?:cond_(?:\d+_)?)*(\w+?)_cond_\d+')


class TensorType(NamedTuple):
  """A type such as `16x8x8x1xf32`.

  Attributes:
    shape: sizes of the axes.
    element: of the entries, such as `f32`.
  """

  shape: tuple[int, ...]
  element: str

  @classmethod
  def parse(cls, text: str) -> 'TensorType':
    """Returns what the text between `tensor<` and `>` says."""
    *sizes, element = text.split('x')
    return cls(tuple(int(size) for size in sizes), element)

  @property
  def num_bytes(self) -> int:
    """The bytes of a tensor of this type, at least one a number."""
    bits = int(re.sub(r'\D', '', self.element) or 8)
    return math.prod(self.shape) * max(1, bits // 8)


@dataclasses.dataclass
class Work:
  """Products and convolutions of a part of a program, executed once.

  Attributes:
    dots: number of matrix products.
    convolutions: number of convolutions.
    operations: multiplications and additions of both, zero padding included.
    bytes: of their operands and results.
    custom_calls: numbers of calls of what is not StableHLO, by names.
  """

  dots: int = 0
  convolutions: int = 0
  operations: int = 0
  bytes: int = 0
  custom_calls: collections.Counter = dataclasses.field(
      default_factory=collections.Counter)

  def __add__(self, other: 'Work') -> 'Work':
    return Work(*(getattr(self, f.name) + getattr(other, f.name)
                  for f in dataclasses.fields(self)))

  def report(self) -> dict[str, Any]:
    """Returns the counts, a dict for JSON."""
    return {**vars(self), 'custom_calls': dict(self.custom_calls)}


@dataclasses.dataclass
class _Operation:
  """One operation: the names that it defines and takes, and what it does."""

  result: str | None
  uses: set
  work: Work
  calls: list
  is_loop: bool
  # Those within its braces; condition and body of a loop, which run as often.
  inner: list = dataclasses.field(default_factory=list)


class Loop(NamedTuple):
  """A loop of a program.

  Attributes:
    name: as TensorFlow named it, behind those of the loops around it, with
      slashes.
    work: of one execution of condition and body, without loops within.
  """

  name: str
  work: Work


class StablehloCounts(NamedTuple):
  """What a StableHLO program does.

  Attributes:
    outside: the work outside of all loops. Every branch of a condition counts.
    loops: the loops, in order.
  """

  outside: Work
  loops: list[Loop]

  def loops_named(self, name: str) -> Work | None:
    """Returns the work of one pass through all loops of a name, or None.

    Args:
      name: part of the names of the loops.
    """
    works = [loop.work for loop in self.loops if name in loop.name]
    return sum(works, Work()) if works else None

  def report(self) -> dict[str, Any]:
    """Returns the counts, a dict for JSON; loops of a name are added up."""
    groups = collections.defaultdict(list)
    for loop in self.loops:
      groups[loop.name].append(loop.work)
    return {
        'outside_loops': self.outside.report(),
        'loops': {name: {'num_loops': len(works), **sum(works, Work()).report()}
                  for name, works in groups.items()}}


def arguments_of(text: str) -> list[TensorType]:
  """Returns the types of the arguments of a StableHLO program."""
  return [TensorType.parse(t) for t in _ARGUMENT.findall(_main_line(text))]


def num_outputs_of(text: str) -> int:
  """Returns the number of outputs of a StableHLO program."""
  return _main_line(text).rpartition(' -> ')[2].count('tensor<')


def _main_line(text):
  (line,) = [line for line in text.splitlines()
             if (match := _FUNCTION.match(line)) and match[1] == 'main']
  return line


def _product_work(kind, line):
  """Returns the `Work` of a line with a product or a convolution."""
  types = _TYPES.search(line)
  dims = {'dot': _TYPES, 'dot_general': _CONTRACTING,
          'convolution': _KERNEL_DIMS}[kind].search(line)
  errors.check_format(
      types is not None and dims is not None,
      f'a {kind} of StableHLO in a form that is not known: {line.strip()}')
  left, right, result = [TensorType.parse(t) for t in types.groups()]
  if kind == 'dot':
    contracted = left.shape[-1]
  elif kind == 'dot_general':
    contracted = math.prod(
        left.shape[int(d)] for d in dims[1].split(',') if d.strip())
  else:
    contracted = math.prod(
        size for size, name in zip(
            right.shape, dims[1].replace(' ', '').split(','), strict=True)
        if name != 'o')
  return Work(
      dots=int(kind != 'convolution'), convolutions=int(kind == 'convolution'),
      operations=2 * math.prod(result.shape) * contracted,
      bytes=sum(t.num_bytes for t in (left, right, result)))


def _functions(text):
  """Returns the operations of every function of a StableHLO program."""
  functions, scopes = {}, []
  for line in text.splitlines():
    # Strings may hold braces; MLIR also quotes names of operations.
    line = re.sub(r'"[^"]*"', lambda m: m[0] if m[0].startswith(
        '"stablehlo.') else '""', line)
    started = _FUNCTION.match(line)
    depth = line.count('{') - line.count('}')
    if started:
      scopes = [functions.setdefault(started[1], [])]
    elif scopes and line.strip() == 'cond {':
      scopes.append(scopes[-1][-1].inner)
    elif scopes and line.strip().startswith('}'):
      del scopes[len(scopes) + depth:]
    elif scopes:
      result, product = _RESULT.match(line), _PRODUCT.search(line)
      work = _product_work(product[1], line) if product else Work()
      work.custom_calls.update(_CUSTOM_CALL.findall(line))
      operation = _Operation(
          result and result[1],
          set(_NAME.findall(line[result.end() if result else 0:])), work,
          _CALL.findall(line), 'stablehlo.while(' in line)
      scopes[-1].append(operation)
      scopes += [operation.inner] * depth
  return functions


def count_stablehlo(text: str) -> StablehloCounts:
  """Counts products and convolutions of a StableHLO program.

  Args:
    text: of the module, as MLIR prints it.

  Raises:
    FormatError: if a product or a convolution is printed in a form that is not
      known.

  References:
    OpenXLA, StableHLO specification.
  """
  functions = _functions(text)

  def count(operations, prefix, needed):
    """Returns work and loops, and adds to `needed` the names they depend on."""
    work, loops = Work(), []
    for operation in reversed(operations):
      # Without a result: what ends a region, or reduces within it.
      if operation.result is not None and operation.result not in needed:
        continue
      needed |= operation.uses
      work += operation.work
      for name in operation.calls:
        called, within = count(functions[name], prefix, set())
        work, loops = work + called, within + loops
      name = prefix
      if operation.is_loop:
        condition = next(
            (_LOOP_OF_CONDITION.match(c) for o in operation.inner
             for c in o.calls), None)
        name += condition[1] if condition else 'while'
      # Regions side by side reuse their names, but none from around them.
      inner_needed = set()
      inner, within = count(
          operation.inner, f'{name}/' if operation.is_loop else prefix,
          inner_needed)
      needed |= inner_needed - {o.result for o in operation.inner}
      if operation.is_loop:
        within = [Loop(name, inner), *within]
      else:
        work += inner
      loops = within + loops
    return work, loops

  return StablehloCounts(*count(functions['main'], '', set()))
