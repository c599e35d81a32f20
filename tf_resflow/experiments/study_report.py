"""Tables and pictures of a study, from the records of its log alone."""

from collections.abc import Sequence
import math
import os

from matplotlib import figure as figure_lib
import numpy as np

from tf_resflow.experiments import comparison
from tf_resflow.experiments import study as study_lib


def text(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns all that a study says, in Markdown."""
  return '\n\n'.join(part(study, records) for part in (
      *[rates_table] * bool(study.rates), table, remarks))


def table(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns the finalists in Markdown, a table for each metric.

  It has a row for each workload and a column for each case: a mean with the
  half width of its interval of 95 %, in parentheses the difference from the
  first case with that of its own, see `comparison.of_seeds_and_examples`, bold
  where it excludes zero. The first table also has the steps of training, and
  the mean difference of biased estimates of training from unbiased ones.
  """
  tables = []
  for metric in study.metrics:
    rows = [[workload, *(_cell(study, workload, case, records, metric)
                         for case in study.cases)]
            for workload in study.workloads]
    tables.append(markdown([[metric, *study.cases], *rows]))
  return '\n\n'.join(tables)


def _cell(study, workload, case, records, metric):
  """Returns what a table has of one case on one workload."""
  finals = [records[final.name]
            for final in study.finals(workload, case, records)]
  cell = _mean(study, workload, finals, metric)
  compared = _compared(workload, case, records)
  if metric in compared:
    estimate = comparison.Estimate(*compared[metric])
    mark = '**' if estimate.is_decided else ''
    cell += f' ({mark}{_rounded(study, estimate, sign="+")}{mark})'
  if metric == study.metrics[0] and study.rates and case in study.flows:
    cell += f'; {study.num_steps(workload, case, records):,} steps'
    biases = [final['bias'] for final in finals if 'bias' in final]
    cell += f'; bias {np.mean(biases):+.4f}' if biases else ''
  return cell


def rates_table(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns the validation values of all rates as a table in Markdown."""
  rates = study.grid(records)
  rows = [[f'validation {study.metrics[0]}', *(f'{r:g}' for r in rates)]]
  for case in study.flows:
    best = study.best_rate(case, records)
    texts = ['diverged' if math.isnan(value) else f'{value:.4f}'
             for value in study.validation(case, rates, records)]
    mark = ' (edge)' if best in (rates[0], rates[-1]) else ''
    rows.append([case, *(f'**{text}**{mark}' if rate == best else text
                         for rate, text in zip(rates, texts, strict=True))])
  return markdown(rows)


def remarks(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns a line: looks at test parts, seconds of training, hours of all."""
  counts = {name: [
      record.get('looks', 0) for record in records.values()
      if (record['kind'], record['workload']) == (study_lib.FINAL, name)]
            for name in study.workloads}
  line = (f'Looks at test parts: {sum(map(sum, counts.values()))} by '
          f'{sum(map(len, counts.values()))} finalists' + ''.join(
              f', of {name} {sum(looks)} by {len(looks)}'
              for name, looks in counts.items() if {*looks} != {1}) + '.')
  seconds = {name: f'{workload.seconds:g}'
             for name, workload in study.workloads.items() if workload.seconds}
  if len(seconds) == len(study.workloads):
    line += ' Seconds of training: ' + (
        ', '.join(f'{name} {value}' for name, value in seconds.items())
        if len({*seconds.values()}) > 1 else seconds[study.tuning]) + '.'
  hours = sum(record.get('seconds', 0.0) for record in records.values()) / 3600
  return f'{line} All tasks took {hours:.1f} hours.'


def _compared(workload, case, records):
  """Returns the record of a comparison; {} of the first case."""
  return records.get(study_lib.Task(study_lib.COMPARE, workload, case).name, {})


def _mean(study, workload, finals, metric):
  """Returns the mean of finalists, with the half width of its interval.

  The error across examples, which they share, is that of the first one.
  """
  if not all(metric in final for final in finals):
    return 'diverged'
  values = [final[metric] for final in finals]
  folds = study.workloads[workload].folds
  estimate = comparison.of_folds(values, folds) if folds else (
      comparison.of_errors(
          np.mean(values), comparison.stderr_of_seeds(values), len(values),
          finals[0][f'{metric}_stderr']))
  return _rounded(study, estimate)


def _rounded(study, estimate, sign=''):
  """Returns a mean with the half width of its interval, as tables have it."""
  digits = 4 if study.rates else 2
  return (f'{estimate.mean:{sign}.{digits}f} +- '
          f'{estimate.high - estimate.mean:.{digits}f}')


def markdown(rows: Sequence[Sequence[str]]) -> str:
  """Returns a table, whose first row is the header, without empty columns."""
  columns = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
  lines = ['| ' + ' | '.join(row[i] for i in columns) + ' |' for row in rows]
  return '\n'.join([lines[0], '|---' * len(columns) + '|', *lines[1:]])


def save_picture(study: study_lib.Study, records: study_lib.Records,
                 path: str | os.PathLike) -> None:
  """Draws validation values over rates, and the differences of finalists.

  The differences of a metric have a row for each workload.
  """
  workloads, others = [*study.workloads], [
      case for case in study.cases if case != study.reference]
  num_panels = len(study.metrics) + bool(study.rates)
  figure = figure_lib.Figure(
      (6.4 * num_panels, 3.0 + 0.2 * len(workloads)), layout='constrained')
  panels = [*figure.subplots(1, num_panels, squeeze=False)[0]]
  if study.rates:
    curves, rates = panels.pop(0), study.grid(records)
    for case in study.flows:
      curves.plot(rates, study.validation(case, rates, records), 'o-',
                  label=case, markersize=4)
    curves.set(xscale='log', xlabel='learning rate',
               ylabel=f'validation {study.metrics[0]}', title=study.tuning)
    curves.legend(frameon=False)
  for panel, metric in zip(panels, study.metrics, strict=True):
    for i, case in enumerate(others):
      means, _, lows, highs = np.array([
          _compared(workload, case, records).get(metric, [math.nan] * 4)
          for workload in workloads]).T
      panel.errorbar(
          means, np.arange(len(workloads)) + 0.6 * (
              (i + 1) / (len(others) + 1) - 0.5), fmt='o', capsize=3,
          markersize=4, xerr=[means - lows, highs - means], label=case)
    panel.axvline(0.0, color='black', linewidth=0.8, linestyle='--')
    panel.set_yticks(range(len(workloads)), workloads)
    if max(map(abs, panel.get_xlim())) > 2.0:  # They are of many sizes.
      panel.set_xscale('symlog')
      panel.xaxis.set_major_formatter('{x:g}')
    panel.set(xlabel=f'{metric}, minus {study.reference}',
              ylim=(len(workloads) - 0.5, -0.5))
    panel.grid(alpha=0.3)
  panel.legend(frameon=False, loc='upper left', bbox_to_anchor=(1.0, 1.0))
  figure.savefig(path, dpi=120)
