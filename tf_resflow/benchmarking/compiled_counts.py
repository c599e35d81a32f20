"""What a compiler of XLA made of a program, counted in its optimised HLO.

The counts are those of one compiler for one device: that for CPUs fuses
otherwise than that for GPUs.
"""

import collections
import re
from typing import Any

from tf_resflow import errors

_COMPUTATION = re.compile(r'(ENTRY )?%?([\w.-]+) .*\{$')
_INSTRUCTION = re.compile(
    r'\s+(?:ROOT )?%?[\w.-]+ = .*?(?<=\s)([a-z][a-z0-9-]*)\(')
_CALLED = re.compile(
    r'\b(?:calls|to_apply|body|condition|true_computation|false_computation|'
    r'branch_computations)=(\{[^}]*\}|%?[\w.-]+)')
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_NAME = re.compile(r'op_name="([^"]*)"')
# Those whose computations run as programs, instruction by instruction; others
# apply theirs within one kernel.
_CONTROL = {'while', 'conditional', 'call', 'async-start'}
# No kernels: they name, group and order what others compute.
_FREE = _CONTROL | {
    'parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast',
    'after-all', 'opt-barrier', 'partition-id', 'replica-id', 'async-update',
    'async-done', 'copy-done'}


def _computations(text):
  """Returns the lines of the computations of a module, and the entry's name."""
  computations, lines, entry = {}, None, None
  for line in text.splitlines():
    if lines is not None:
      lines.append(line)
      lines = None if line == '}' else lines
    elif (header := _COMPUTATION.match(line)):
      lines = computations[header[2]] = []
      entry = header[2] if header[1] else entry
  errors.check_format(entry is not None, 'HLO without an ENTRY')
  return computations, entry


def _loop_name(line):
  """Returns the name that TensorFlow gave a loop.

  Without its numbers, and without the branches that it stands in.
  """
  name = _NAME.search(line)
  return 'while' if name is None else re.sub(
      r'\w*PartitionedCall(_\d+)?/|\bcond(_\d+)?/|_\d+$', '', name[1])


def count_optimized(text: str) -> dict[str, Any]:
  """Counts the instructions of a compiled program, each body of a loop once.

  Args:
    text: optimised HLO.

  Returns:
    A dict for JSON with `kernels`, instructions that compute something;
    `fusions`, those among them that were made of several; `dots` and
    `convolutions`, also within fusions; `while_loops`; `custom_calls`, numbers
    by targets; and `loops`, a dict with `num_loops` and the same counts without
    those of loops within, by the names of loops.
  """
  computations, entry = _computations(text)
  counts = collections.defaultdict(collections.Counter)
  targets, num_loops = collections.Counter(), collections.Counter()
  waiting, seen = [(entry, '', False)], set()
  while waiting:
    visit = name, loop, is_fused = waiting.pop()
    if visit in seen:
      continue
    seen.add(visit)
    for line in computations[name]:
      match = _INSTRUCTION.match(line)
      if not match:
        continue
      opcode, inner = match[1], loop
      for key, is_one in (
          ('kernels', not is_fused and opcode not in _FREE),
          ('fusions', not is_fused and opcode == 'fusion'),
          ('dots', opcode == 'dot'), ('convolutions', opcode == 'convolution'),
          ('while_loops', opcode == 'while')):
        counts[loop][key] += is_one
      targets.update(_TARGET.findall(line))
      if opcode == 'while':
        inner = _loop_name(line)
        num_loops[inner] += 1
      if opcode in _CONTROL or opcode == 'fusion':
        waiting += [
            (called, inner, is_fused or opcode == 'fusion')
            for names in _CALLED.findall(line)
            for called in re.findall(r'[\w.-]+', names)]
  return {
      **{key: sum(c[key] for c in counts.values()) for key in counts['']},
      'custom_calls': dict(targets),
      'loops': {name: {'num_loops': number, **counts[name]}
                for name, number in num_loops.items()}}
