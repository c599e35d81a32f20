"""Induced norms of layers: estimates and bounds, against brute force.

    python -m docs.induced_study --output=docs/induced_norms

prints the tables of docs/induced_norms.md, draws its picture, and fails where a
claim does not hold.
"""

import argparse
import math
import sys
import time

from matplotlib import figure as figure_lib
import numpy as np
import pandas as pd
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


def _measure(number, kernel, spatial_shape, p, q, num_starts):
  """Returns the results for one operator and one pair of orders.

  'exact' is the closed form, the spectral norm, or the nonlinear power method
  from a positive row, and 'signed' that method from rows of any sign. 'known'
  is the largest quotient known: brute force, or an estimate above it.
  """
  mapping = operators.LayerOperator(
      tf.constant(kernel), spatial_shape, p, q)
  matrix = kernels.matrix(
      operators.LayerOperator(mapping.kernel, spatial_shape))

  def climb(further_starts=None):
    return induced_oracle.brute_force(
        matrix, p, q, num_starts, number, further_starts)

  brute = climb()
  record = {
      'pair': f'{p:g} -> {q:g}',
      'group': 'p < q' if p < q else 'p > q' if p > q else 'p = q',
      'is_nonnegative': bool(np.all(kernel >= 0.0)), 'brute': brute,
      'is_short': False, 'deviation': 0.0, 'signed': math.nan,
      'unattained': 0.0, 'looseness': math.inf}
  norm = operator_norms.UPPER.of_orders(p, q)
  if norm is operator_norms.CLOSED:
    record['kind'] = 'p = 1 or q = inf'
    record['exact'] = float(tf.reduce_max(norm.norm(mapping, None)))
  elif norm is operator_norms.SPECTRAL:
    record['kind'] = '2 -> 2'
    # As many rows as layers have.
    rows = _rows(norm, mapping, number, min(3, *matrix.shape))
    record['exact'] = float(norm.converge(mapping, rows, *_SPECTRAL).norm)
  else:
    record |= _estimates(mapping, matrix, number, record)
  if 'exact' in record:
    record['is_short'] = record['exact'] > brute * (1.0 + _EXACT)
    if record['is_short']:
      brute = climb(induced_oracle.telling_starts(matrix, p))
    record['deviation'] = abs(record['exact'] / brute - 1.0)
  return record


def _estimates(mapping, matrix, number, record):
  """Returns estimates, how far they fall short of 'known', and upper bounds.

  'unattained' is by how much, relatively, an estimate differs from
  `|A x|_q / |x|_p` of the vector that it comes with.
  """
  norm, p, q = operator_norms.ESTIMATE, mapping.domain, mapping.codomain
  rows = _rows(norm, mapping, number, max(_NUM_CONVERGED_ROWS))
  steps = tf.TensorSpec([], tf.int32)

  # Traced once for all numbers of rows and settings.
  @tf.function(input_signature=[
      tf.TensorSpec([None, rows.shape[1]], tf.float64),
      tf.TensorSpec([], tf.float64), steps, steps], autograph=False)
  def follow(rows, *settings):
    result = norm.converge(mapping, rows, *settings)
    return result.norm, result.rows[0]

  def quotient(x):
    if mapping.spatial_shape and mapping.acts_on_channels:
      # A vector of one pixel; equal pixels attain the factor that is not 1.
      image = np.zeros([math.prod(mapping.spatial_shape), x.size])
      image[:None if p > q else 1] = x
      x = image.reshape(-1)
    return induced_oracle.vector_norms(
        matrix @ x, q) / induced_oracle.vector_norms(x, p)

  found, unattained = {}, 0.0
  for prefix, numbers, settings in (
      ('', _NUM_ROWS, _LAYERS), ('converged ', _NUM_CONVERGED_ROWS, _CONVERGED)
  ):
    for num_rows in numbers:
      estimate, x = follow(rows[:num_rows], *settings)
      found[f'{prefix}{num_rows}'] = float(estimate)
      unattained = max(
          unattained, abs(float(estimate) / quotient(x.numpy()) - 1.0))
  known = max(record['brute'], *found.values())
  results = {
      'known': known, 'unattained': unattained,
      'looseness': float(operator_norms.UPPER.bound(
          mapping, np.linalg.norm(matrix, 2))) / known,
      **{name: 1.0 - estimate / known for name, estimate in found.items()}}
  if record['is_nonnegative'] and p >= q:
    results |= {
        'kind': 'nonnegative, p >= q, one positive row',
        'exact': float(follow(tf.abs(rows[:1]), *_EXACTLY)[0]),
        'signed': float(follow(rows[:3], *_EXACTLY)[0])}
  return results


def _rows(norm, mapping, number, num_rows):
  rows = np.random.default_rng([1, number]).normal(
      size=[num_rows, norm.row_size(mapping)])
  return tf.constant(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _print_table(title, header, rows):
  print(f'## {title}\n')
  for line in header, ['---'] * len(header), *rows:
    print('| ' + ' | '.join(map(str, line)) + ' |')
  print()


def _share(is_so):
  return f'{100.0 * np.mean(is_so):.1f}%'


def _small(number):
  """A shortfall; what lies below rounding is none."""
  return '0' if number < 1e-12 else f'{number:.1e}'


def _print_exact(records):
  _print_table(
      'What is exact',
      ('', 'norms', 'largest deviation', 'brute force was short'), [
          (kind, len(kept), _small(kept.deviation.max()), kept.is_short.sum())
          for kind, kept in records.groupby('kind', sort=False)])
  shortfalls = (1.0 - records.signed / records.exact).dropna()
  print(f'From three rows of any sign instead: {(shortfalls > 1e-6).sum()} of '
        f'{len(shortfalls)} fall short by more than 1e-6, the largest by '
        f'{_small(shortfalls.max())}.\n')


def _print_estimates(records):

  def cells(kept):
    misses = kept > _MISS
    for n in _NUM_CONVERGED_ROWS:
      layers = _share(misses[f'{n}']) if n in _NUM_ROWS else ''
      yield f'{layers} ({_share(misses[f"converged {n}"])})'.strip()

  shortfalls = records.filter(regex=r'^(converged )?\d+$')
  groups = records.group + np.where(
      records.is_nonnegative, ', nonnegative', '')
  above = records.known > records.brute * (1.0 + _ROUNDING)
  _print_table(
      'Share of misses (converged)',
      ('', 'norms', *_NUM_CONVERGED_ROWS, 'above brute force'), [
          (name, len(kept), *cells(kept), above[kept.index].sum())
          for name, kept in (*shortfalls.groupby(groups), ('all', shortfalls))])
  _print_table(
      'Shortfall: share above 1e-3, median, largest', ('p -> q', *_NUM_ROWS), [
          (name, *(f'{_share(s > _MISS)}, {_small(s.median())}, '
                   f'{_small(s.max())}'
                   for s in (kept[f'{n}'] for n in _NUM_ROWS)))
          for name, kept in shortfalls.groupby(records.pair)])
  looseness = records.looseness
  _print_table(
      'Upper bound / brute force', ('p -> q', 'median', 'largest'), [
          (name, f'{kept.median():.3f}', f'{kept.max():.3f}')
          for name, kept in (
              *looseness.groupby(records.pair), ('all', looseness))])


def _draw(records, path):
  """Draws how loose bounds are, and how often estimates miss."""
  figure = figure_lib.Figure(figsize=(10, 4), layout='constrained')
  left, right = figure.subplots(1, 2)
  groups = dict(list(records.groupby('group')))
  left.hist([kept.looseness for kept in groups.values()], 40, stacked=True,
            label=list(groups))
  left.set(xlabel='upper bound / brute force', ylabel='norms',
           title='How loose the upper bound is')
  for i, (name, kept) in enumerate(groups.items()):
    for numbers, prefix, style, of in (
        (_NUM_ROWS, '', 'o-', ''),
        (_NUM_CONVERGED_ROWS, 'converged ', 's:', ', converged')):
      right.plot(numbers, [
          100.0 * (kept[f'{prefix}{n}'] > _MISS).mean() for n in numbers],
                 style, color=f'C{i}', label=name + of)
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
  start, records = time.monotonic(), []
  num_norms = options.num_operators * len(induced_oracle.PAIRS)
  for number in range(options.num_operators):
    for pair in induced_oracle.PAIRS:
      records.append(_measure(
          number, *_operator(number), *pair, options.num_starts))
      minutes = (time.monotonic() - start) / 60.0
      sys.stderr.write(
          f'\r{len(records)} of {num_norms} norms, {minutes:.1f} min')
  sys.stderr.write('\n')
  records = pd.DataFrame(records)
  _print_exact(records)
  estimated = records.dropna(subset='known')
  _print_estimates(estimated)
  _draw(estimated, f'{options.output}.png')
  failed = records[~(
      (records.deviation <= _EXACT) & (records.unattained <= _ROUNDING) &
      (records.looseness >= 1.0 - _ROUNDING))]
  if len(failed):
    print(failed.to_string(), file=sys.stderr)
  return int(len(failed) > 0)


if __name__ == '__main__':
  sys.exit(main())
