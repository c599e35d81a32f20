"""Tables and a picture of what `induced_study` measured."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from matplotlib import figure as figure_lib
from matplotlib import ticker
import numpy as np

# What counts as a miss.
MISS = 1e-3

_GROUPS = {
    'p < q': lambda record: record.domain < record.codomain,
    'p = q': lambda record: record.domain == record.codomain,
    'p > q': lambda record: record.domain > record.codomain}
_COLOURS = ('tab:blue', 'tab:orange', 'tab:green')


def tables(records: Sequence[Any]) -> str:
  """Returns the tables in Markdown.

  Args:
    records: of `induced_study`.
  """
  elsewhere = [record for record in records if record.estimates]
  return '\n\n'.join([
      _operators(records), _exact(records), _settings(elsewhere),
      _misses(elsewhere), _looseness(elsewhere)])


def _table(title: str, header: Iterable, rows: Iterable[Iterable]) -> str:
  header = list(header)
  lines = [header, ['---'] * len(header), *rows]
  return '\n'.join([f'## {title}', ''] + [
      '| ' + ' | '.join(map(str, line)) + ' |' for line in lines])


def _order(order):
  return 'inf' if np.isinf(order) else f'{order:g}'


def _pair(pair):
  return ' -> '.join(map(_order, pair))


def _by_pair(records):
  """Yields pairs of orders and the records of each."""
  for pair in dict.fromkeys(record.pair for record in records):
    yield pair, [record for record in records if record.pair == pair]


def _share(is_so: Iterable[bool]) -> str:
  return f'{100.0 * np.mean(list(is_so)):.1f}%'


def _small(number):
  """A shortfall; what lies below rounding is none."""
  return '0' if number < 1e-12 else f'{number:.1e}'


def _operators(records):
  cases = list({id(record.case): record.case for record in records}.values())
  is_dense = [case.spatial_shape is None for case in cases]
  return _table('Operators', ('', 'operators', 'nonnegative'), [
      (name, sum(kept), sum(
          case.is_nonnegative for case, is_kept in zip(
              cases, kept, strict=True) if is_kept))
      for name, kept in (('dense', is_dense),
                         ('convolutions', [not d for d in is_dense]))])


def _exact(records):
  kinds: dict[str, Callable] = {
      'p = 1 or q = inf': lambda record: record.kind == 'closed',
      '2 -> 2': lambda record: record.kind == 'spectral',
      'nonnegative, p >= q, one positive row': lambda record: (
          record.kind == 'elsewhere' and record.exact is not None)}
  rows = []
  for name, is_of in kinds.items():
    kept = [record for record in records if is_of(record)]
    if kept:
      rows.append((name, len(kept), _small(max(r.deviation for r in kept)), sum(
          record.with_telling is not None for record in kept)))
  nonnegative = [r for r in records if r.signed is not None]
  shortfalls = [1.0 - record.signed / record.exact for record in nonnegative]
  below = sum(shortfall > 1e-6 for shortfall in shortfalls)
  note = (f'From three rows of any sign instead: {below} of {len(nonnegative)} '
          f'fall short by more than 1e-6, the largest by '
          f'{_small(max(shortfalls, default=0.0))}.')
  return _table('What is exact', (
      '', 'norms', 'largest deviation', 'brute force was short'),
      rows) + f'\n\n{note}'


def _groups(records):
  """Yields names and records: by orders, and whether kernels have signs."""
  for name, is_of in _GROUPS.items():
    for sign, is_nonnegative in (('', False), (', nonnegative', True)):
      kept = [record for record in records if is_of(record) and
              record.case.is_nonnegative == is_nonnegative]
      if kept:
        yield name + sign, kept
  yield 'all', records


def _settings(records):
  numbers, converged = [list(getattr(records[0], name)) for name in (
      'estimates', 'converged')]
  def cell(kept, number):
    each = [_share(r.shortfall(number, is_converged) > MISS for r in kept)
            for is_converged, of in ((False, numbers), (True, converged))
            if number in of]
    return f'{each[0]} ({each[1]})' if each[1:] else f'({each[0]})'

  return _table(
      'Share of misses (converged)',
      ('', 'norms', *converged, 'above brute force'), [
          (name, len(kept), *(cell(kept, n) for n in converged),
           sum(record.is_brute_short for record in kept))
          for name, kept in _groups(records)])


def _misses(records):
  numbers = list(records[0].estimates)
  rows = []
  for pair, kept in _by_pair(records):
    shortfalls = [[r.shortfall(n) for r in kept] for n in numbers]
    rows.append((_pair(pair), *(
        f'{_share(s > MISS for s in each)}, {_small(np.median(each))}, '
        f'{_small(max(each))}' for each in shortfalls)))
  return _table('Shortfall: share above 1e-3, median, largest',
                ('p -> q', *numbers), rows)


def _looseness(records):
  rows = []
  for pair, kept in _by_pair(records):
    each = [record.looseness for record in kept]
    rows.append((_pair(pair), f'{np.median(each):.3f}', f'{max(each):.3f}'))
  each = [record.looseness for record in records]
  rows.append(('all', f'{np.median(each):.3f}', f'{max(each):.3f}'))
  return _table('Upper bound / brute force', ('p -> q', 'median', 'largest'),
                rows)


def draw(records: Sequence[Any], path: str) -> None:
  """Draws how loose bounds are, and how often estimates miss.

  Args:
    records: of `induced_study`.
    path: of the image.
  """
  records = [record for record in records if record.estimates]
  figure = figure_lib.Figure(figsize=(10, 4), layout='constrained')
  left, right = figure.subplots(1, 2)
  largest = max(record.looseness for record in records)
  bins = np.linspace(1.0, np.ceil(10.0 * largest) / 10.0, 41)
  groups = {name: [record for record in records if is_of(record)]
            for name, is_of in _GROUPS.items()}
  left.hist([[r.looseness for r in kept] for kept in groups.values()], bins,
            stacked=True, color=_COLOURS, label=list(groups))
  left.set(xlabel='upper bound / brute force', ylabel='norms',
           title='How loose the upper bound is')
  left.legend()
  for (name, kept), colour in zip(groups.items(), _COLOURS, strict=True):
    for of, is_converged, style in (
        ('', False, 'o-'), (', converged', True, 's:')):
      numbers = list(kept[0].converged if is_converged else kept[0].estimates)
      right.plot(numbers, [
          100.0 * np.mean([r.shortfall(n, is_converged) > MISS for r in kept])
          for n in numbers], style, color=colour, label=name + of)
  numbers = list(records[0].converged)
  right.set_xscale('log')
  right.set_xticks(numbers, map(str, numbers))
  right.xaxis.set_minor_locator(ticker.NullLocator())
  right.set_ylim(bottom=0.0)
  right.set(xlabel='random starts', ylabel='% of norms',
            title='Estimates more than 1e-3 short')
  right.legend()
  figure.savefig(path, dpi=100)
