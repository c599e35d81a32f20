"""Induced norms of layers: estimates and bounds, against brute force.

    python -m tests.numerics.norms.induced_study --output=docs/induced_norms

prints the tables of docs/induced_norms.md, draws its picture, and fails where a
claim does not hold.
"""

import argparse
import dataclasses
import functools
import math
import sys
import time

from matplotlib import figure as figure_lib
import numpy as np
import tensorflow as tf

from tests.numerics.norms import induced_oracle
from tests.numerics.norms import kernels
from tf_resflow.numerics.norms import operator_norms
from tf_resflow.numerics.norms import operators

# Tolerance, largest and smallest number of steps: those of layers, of
# their `norm_estimate`, of |A|_2->2, and of the norms of nonnegative kernels.
# Errors of norms are of the order of the square of the tolerance.
_LAYERS = 1e-3, 200, 3
_CONVERGED = 1e-4, 200, 20
_SPECTRAL = 1e-6, 200, 3
_EXACTLY = 1e-6, 5000, 20
_NUM_ROWS = (1, 3, 8, 32)
_NUM_CONVERGED_ROWS = (*_NUM_ROWS, 64)
_ROUNDING = 1e-9
_EXACT = 1e-6
_MISS = 1e-3
_GROUPS = {
    'p < q': lambda record: record.domain < record.codomain,
    'p = q': lambda record: record.domain == record.codomain,
    'p > q': lambda record: record.domain > record.codomain}

# Operators. Entries, forms, sizes of kernels and images go through their lists,
# whose lengths have no common divisors, so that they meet in all combinations.
_DENSE_ENTRIES = ('gaussian', 'nonnegative', 'uniform', 'sparse', 'gaussian',
                  'nonnegative', 'low_rank', 'nonnegative_sparse')
_FORMS = ('tall', 'wide', 'square')
_CONV_ENTRIES = (
    'gaussian', 'nonnegative', 'uniform', 'gaussian', 'nonnegative')
_KERNEL_SIZES = ((3, 3), (1, 3), (5, 5), (1, 1))
# Among them images smaller than the kernels.
_IMAGES = ((1, 1), (2, 1), (1, 3), (2, 2), (3, 2), (3, 3), (4, 3), (5, 4),
           (6, 5))


def _operator(number):
  """Returns a kernel and the size of its image, None for a dense one."""
  index, rng = number // 2, np.random.default_rng([0, number])
  if number % 2 == 0:
    entries = _DENSE_ENTRIES[index % len(_DENSE_ENTRIES)]
    small, large = sorted(rng.choice(np.arange(2, 25), 2, replace=False))
    shape = {'tall': (small, large), 'wide': (large, small),
             'square': (small, small)}[_FORMS[index % len(_FORMS)]]
    return _kernel(entries, shape, rng), None
  size = _KERNEL_SIZES[index % len(_KERNEL_SIZES)]
  channels = rng.integers(2, 5, 2) if size == (1, 1) else rng.integers(1, 4, 2)
  entries = _CONV_ENTRIES[index % len(_CONV_ENTRIES)]
  return (_kernel(entries, (*size, *channels), rng),
          _IMAGES[index % len(_IMAGES)])


def _kernel(entries, shape, rng):
  kernel = rng.normal(size=shape)
  if entries == 'uniform':
    kernel = rng.uniform(-1.0, 1.0, size=shape)
  if entries == 'low_rank':
    rank = min(2, min(shape) - 1)
    kernel = rng.normal(size=[shape[0], rank]) @ rng.normal(
        size=[rank, shape[1]])
  if 'sparse' in entries:
    # Three in ten, and one at least.
    is_kept = rng.random(shape) < 0.3
    is_kept.flat[rng.integers(is_kept.size)] = True
    kernel = np.where(is_kept, kernel, 0.0)
  return np.abs(kernel) if 'nonnegative' in entries else kernel


@dataclasses.dataclass
class _Record:
  """Results for one operator and one pair of orders.

  `exact` is the closed form, the spectral norm, or the nonlinear power method
  from a positive row, and `signed` that method from rows of any sign. Estimates
  go by their numbers of rows and whether they have the settings of
  `norm_estimate`; `unattained` is by how much, relatively, one differs from
  `|A x|_q / |x|_p` of the vector that it comes with.
  """

  number: int
  kernel: np.ndarray
  spatial_shape: tuple[int, int] | None
  domain: float
  codomain: float
  brute: float = 0.0
  kind: str = 'nonnegative, p >= q, one positive row'
  exact: float | None = None
  signed: float | None = None
  is_short: bool = False
  deviation: float = 0.0
  estimates: dict = dataclasses.field(default_factory=dict)
  unattained: float = 0.0
  upper: float | None = None

  @functools.cached_property
  def mapping(self):
    return operator_norms.NormedMap(
        tf.constant(self.kernel), self.spatial_shape, self.domain,
        self.codomain)

  @property
  def is_nonnegative(self):
    return bool(np.all(self.kernel >= 0.0))

  @property
  def known(self):
    """The largest quotient known: brute force, or an estimate above it."""
    return max(self.brute, *self.estimates.values())

  @property
  def looseness(self):
    return self.upper / self.known

  def shortfall(self, num_rows, is_converged=False):
    """The relative error of an estimate, below the known norm."""
    return 1.0 - self.estimates[num_rows, is_converged] / self.known

  def complaints(self):
    """The claims that do not hold."""
    claims = {
        'exact': self.deviation <= _EXACT,
        'estimate attained': self.unattained <= _ROUNDING,
        'upper bound above': self.upper is None or
                             self.looseness >= 1.0 - _ROUNDING}
    return [claim for claim, holds in claims.items() if not holds]


def _measure(record, num_starts):
  """Fills in a record."""
  p, q, mapping = record.domain, record.codomain, record.mapping
  matrix = kernels.matrix(
      operators.LayerOperator(mapping.kernel, mapping.spatial_shape))

  def climb(further_starts=None):
    return induced_oracle.brute_force(
        matrix, p, q, num_starts, record.number, further_starts)

  record.brute = brute = climb()
  norm = operator_norms.UPPER.of_orders(p, q)
  if norm is operator_norms.CLOSED:
    record.kind = 'p = 1 or q = inf'
    record.exact = float(tf.reduce_max(norm.norm(mapping, None)))
  elif norm is operator_norms.SPECTRAL:
    record.kind = '2 -> 2'
    # As many rows as layers have.
    rows = _rows(norm, record, min(3, *matrix.shape))
    record.exact = float(norm.converge(mapping, rows, *_SPECTRAL).norm)
  else:
    _measure_elsewhere(record, matrix)
  if record.exact is None:
    return
  record.is_short = record.exact > brute * (1.0 + _EXACT)
  if record.is_short:
    brute = climb(induced_oracle.telling_starts(matrix, p))
  record.deviation = abs(record.exact / brute - 1.0)


def _measure_elsewhere(record, matrix):
  """Fills in estimates and the upper bound."""
  norm, p, q = operator_norms.ESTIMATE, record.domain, record.codomain
  spatial_shape = record.spatial_shape
  rows = _rows(norm, record, max(_NUM_CONVERGED_ROWS))
  steps = tf.TensorSpec([], tf.int32)

  # Traced once for all numbers of rows and settings.
  @tf.function(input_signature=[
      tf.TensorSpec([None, rows.shape[1]], tf.float64),
      tf.TensorSpec([], tf.float64), steps, steps], autograph=False)
  def follow(rows, *settings):
    result = norm.converge(record.mapping, rows, *settings)
    return result.norm, result.rows[0]

  def quotient(x):
    if spatial_shape and math.prod(record.kernel.shape[:2]) == 1:
      # A vector of one pixel; equal pixels attain the factor that is not 1.
      image = np.zeros([math.prod(spatial_shape), x.size])
      image[:None if p > q else 1] = x
      x = image.reshape(-1)
    return induced_oracle.vector_norms(
        matrix @ x, q) / induced_oracle.vector_norms(x, p)

  for is_converged, numbers, settings in (
      (False, _NUM_ROWS, _LAYERS), (True, _NUM_CONVERGED_ROWS, _CONVERGED)):
    for number in numbers:
      found, x = follow(rows[:number], *settings)
      record.estimates[number, is_converged] = float(found)
      record.unattained = max(
          record.unattained, abs(float(found) / quotient(x.numpy()) - 1.0))
  if record.is_nonnegative and p >= q:
    record.exact = float(follow(tf.abs(rows[:1]), *_EXACTLY)[0])
    record.signed = float(follow(rows[:3], *_EXACTLY)[0])
  record.upper = float(operator_norms.UPPER.bound(
      record.mapping, np.linalg.norm(matrix, 2)))


def _rows(norm, record, num_rows):
  rows = np.random.default_rng([1, record.number]).normal(
      size=[num_rows, norm.row_size(record.mapping)])
  return tf.constant(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _print_table(title, header, rows):
  print(f'## {title}\n')
  for line in header, ['---'] * len(header), *rows:
    print('| ' + ' | '.join(map(str, line)) + ' |')
  print()


def _share(is_so):
  return f'{100.0 * np.mean(list(is_so)):.1f}%'


def _small(number):
  """A shortfall; what lies below rounding is none."""
  return '0' if number < 1e-12 else f'{number:.1e}'


def _print_exact(records):
  rows = []
  for kind in ('p = 1 or q = inf', '2 -> 2', _Record.kind):
    kept = [r for r in records if r.kind == kind and r.exact is not None]
    largest = max([r.deviation for r in kept], default=0.0)
    rows.append((
        kind, len(kept), _small(largest), sum(r.is_short for r in kept)))
  _print_table(
      'What is exact',
      ('', 'norms', 'largest deviation', 'brute force was short'), rows)
  shortfalls = [1.0 - r.signed / r.exact for r in records if r.signed]
  num_below = sum(shortfall > 1e-6 for shortfall in shortfalls)
  print(f'From three rows of any sign instead: {num_below} of '
        f'{len(shortfalls)} fall short by more than 1e-6, the largest by '
        f'{_small(max(shortfalls, default=0.0))}.\n')


def _print_estimates(records):
  groups = {
      name + (', nonnegative' if sign else ''):
          [r for r in records if is_of(r) and r.is_nonnegative == sign]
      for name, is_of in _GROUPS.items() for sign in (False, True)}

  def cell(kept, number):
    layers, converged = (
        _share(r.shortfall(number, is_converged) > _MISS for r in kept)
        if (number, is_converged) in kept[0].estimates else ''
        for is_converged in (False, True))
    return f'{layers} ({converged})'.strip()

  _print_table(
      'Share of misses (converged)',
      ('', 'norms', *_NUM_CONVERGED_ROWS, 'above brute force'), [
          (name, len(kept), *(cell(kept, n) for n in _NUM_CONVERGED_ROWS),
           sum(r.known > r.brute * (1.0 + _ROUNDING) for r in kept))
          for name, kept in (*groups.items(), ('all', records)) if kept])
  pairs = {}
  for record in records:
    pairs.setdefault(
        f'{record.domain:g} -> {record.codomain:g}', []).append(record)
  shortfalls = {
      name: [[r.shortfall(n) for r in kept] for n in _NUM_ROWS]
      for name, kept in pairs.items()}
  _print_table(
      'Shortfall: share above 1e-3, median, largest', ('p -> q', *_NUM_ROWS), [
          (name, *(f'{_share(s > _MISS for s in each)}, '
                   f'{_small(np.median(each))}, {_small(max(each))}'
                   for each in found))
          for name, found in shortfalls.items()])
  _print_table(
      'Upper bound / brute force', ('p -> q', 'median', 'largest'), [
          (name, f'{np.median(each):.3f}', f'{max(each):.3f}')
          for name, kept in (*pairs.items(), ('all', records))
          for each in [[r.looseness for r in kept]]])


def _draw(records, path):
  """Draws how loose bounds are, and how often estimates miss."""
  figure = figure_lib.Figure(figsize=(10, 4), layout='constrained')
  left, right = figure.subplots(1, 2)
  groups = {name: [r for r in records if is_of(r)]
            for name, is_of in _GROUPS.items()}
  left.hist([[r.looseness for r in kept] for kept in groups.values()], 40,
            stacked=True, label=list(groups))
  left.set(xlabel='upper bound / brute force', ylabel='norms',
           title='How loose the upper bound is')
  for i, (name, kept) in enumerate(groups.items()):
    for numbers, is_converged, style, of in (
        (_NUM_ROWS, False, 'o-', ''),
        (_NUM_CONVERGED_ROWS, True, 's:', ', converged')):
      right.plot(numbers, [
          100.0 * np.mean([r.shortfall(n, is_converged) > _MISS for r in kept])
          for n in numbers], style, color=f'C{i}', label=name + of)
  right.set_xscale('log', base=2)
  right.set_xticks(_NUM_CONVERGED_ROWS, map(str, _NUM_CONVERGED_ROWS))
  right.set(xlabel='random starts', ylabel='% of norms', ylim=(0.0, None),
            title='Estimates more than 1e-3 short')
  for axes in left, right:
    axes.legend()
  figure.savefig(path, dpi=100)


def main(arguments: list[str] | None = None) -> int:
  """Measures, prints and draws; returns 1 where a claim does not hold."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--output', default='induced_norms',
                      help='the picture, without .png')
  parser.add_argument('--num_operators', type=int, default=208)
  parser.add_argument('--num_starts', type=int, default=1000,
                      help='of brute force')
  options = parser.parse_args(arguments)
  start = time.monotonic()
  records = [
      _Record(number, *_operator(number), *pair)
      for number in range(options.num_operators)
      for pair in induced_oracle.PAIRS]
  for i, record in enumerate(records, 1):
    _measure(record, options.num_starts)
    minutes = (time.monotonic() - start) / 60.0
    sys.stderr.write(f'\r{i} of {len(records)} norms, {minutes:.1f} min')
  sys.stderr.write('\n')
  _print_exact(records)
  estimated = [record for record in records if record.estimates]
  _print_estimates(estimated)
  _draw(estimated, f'{options.output}.png')
  failed = [record for record in records if record.complaints()]
  for record in failed:
    print(record.complaints(), record, file=sys.stderr)
  return 1 if failed else 0


if __name__ == '__main__':
  sys.exit(main())
