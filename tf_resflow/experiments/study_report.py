"""Tables and pictures of a study, from the records of its log alone."""

from collections.abc import Sequence
import math
import os

from matplotlib import figure as figure_lib
import numpy as np
from scipy import stats

from tf_resflow.experiments import comparison
from tf_resflow.experiments import study as study_lib


def text(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns all that a study says, in Markdown."""
  return '\n\n'.join(part(study, records) for part in (
      rates_table, table, looks))


def table(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns the finalists as a table in Markdown, rows of all workloads.

  A mean has the half width of its interval of 95 %, the difference to the first
  case its interval, see `comparison.of_seeds_and_examples`. The last column has
  the mean difference of biased estimates of training from unbiased ones.
  """
  rows = [['', 'case', 'learning rate', 'steps', *(
      title for metric in study.metrics
      for title in (metric, f'minus {study.reference}', 'order')),
           'bias of training']]
  for workload in study.workloads:
    for case in study.cases:
      finals = study.finals(workload, case, records)
      mark = ' (edge)' if study.is_at_edge(case, records) else ''
      rows.append([
          workload, case, f'{finals[0].rate:g}{mark}',
          f'{study.num_steps(workload, case, records):,}'])
      for metric in study.metrics:
        rows[-1] += [
            _mean([records[final.name] for final in finals], metric),
            *_difference(_compared(workload, case, records), metric)]
      biases = [records[final.name]['bias'] for final in finals
                if 'bias' in records[final.name]]
      rows[-1].append(f'{np.mean(biases):+.4f}' if biases else '')
  return markdown(rows)


def rates_table(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns the validation values of all rates as a table in Markdown."""
  rates = study.grid(records)
  rows = [[f'validation {study.metrics[0]}', *(f'{r:g}' for r in rates)]]
  for case in study.cases:
    best = study.best_rate(case, records)
    texts = ['diverged' if math.isnan(value) else f'{value:.4f}'
             for value in _validation(study, case, records)]
    rows.append([case, *(f'**{text}**' if rate == best else text
                         for rate, text in zip(rates, texts, strict=True))])
  return markdown(rows)


def looks(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns a line on how often test parts were looked at, by whom."""
  counts = [[record.get('looks', 0) for record in records.values()
             if (record['kind'], record['workload']) == (study_lib.FINAL, name)]
            for name in study.workloads]
  return 'Looks at test parts: ' + ', '.join(
      f'{name} {sum(each)} by {len(each)} finalists'
      for name, each in zip(study.workloads, counts, strict=True)) + '.'


def _validation(study, case, records):
  """Returns the validation values of a case by rate; NaN where it diverged."""
  return [records[study_lib.Task(
      study_lib.TUNE, study.tuning, case, rate).name].get(
          study.metrics[0], math.nan) for rate in study.grid(records)]


def _compared(workload, case, records):
  """Returns the record of a comparison; {} of the first case."""
  return records.get(study_lib.Task(study_lib.COMPARE, workload, case).name, {})


def _mean(finals, metric):
  """Returns the mean of finalists, with the half width of its interval.

  The error across examples, which they share, is that of the first one.
  """
  if not all(metric in record for record in finals):
    return 'diverged'
  values = [record[metric] for record in finals]
  stderr = math.hypot(stats.sem(values), finals[0][f'{metric}_stderr'])
  width = stats.t.ppf(0.5 + comparison.LEVEL / 2, len(values) - 1) * stderr
  return f'{np.mean(values):.4f} +- {width:.4f}'


def _difference(compared, metric):
  if metric not in compared:
    return ['', 'undecided' if compared else '']
  estimate = comparison.Estimate(*compared[metric])
  is_better = study_lib.sign(metric) * estimate.mean < 0
  return [estimate.text(), 'undecided' if not estimate.is_decided else
          'better' if is_better else 'worse']


def markdown(rows: Sequence[Sequence[str]]) -> str:
  """Returns a table, whose first row is the header, without empty columns."""
  columns = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
  lines = ['| ' + ' | '.join(row[i] for i in columns) + ' |' for row in rows]
  return '\n'.join([lines[0], '|---' * len(columns) + '|', *lines[1:]])


def save_picture(study: study_lib.Study, records: study_lib.Records,
                 path: str | os.PathLike) -> None:
  """Draws validation values over rates, and the differences of finalists."""
  num_panels = len(study.workloads) * len(study.metrics)
  figure = figure_lib.Figure(
      (4.2 * (1 + num_panels), 3.4), layout='constrained')
  curves, *panels = figure.subplots(1, 1 + num_panels)
  for case in study.cases:
    curves.plot(study.grid(records), _validation(study, case, records), 'o-',
                label=case, markersize=4)
  curves.set(xscale='log', xlabel='learning rate',
             ylabel=f'validation {study.metrics[0]}', title=study.tuning)
  curves.legend(frameon=False)
  cases = [case for case in study.cases if case != study.reference]
  for panel, (workload, metric) in zip(panels, (
      (w, m) for w in study.workloads for m in study.metrics), strict=True):
    means, _, lows, highs = np.array([
        _compared(workload, case, records).get(metric, [math.nan] * 4)
        for case in cases]).T
    panel.errorbar(means, range(len(cases)), fmt='o', capsize=3,
                   xerr=[means - lows, highs - means])
    panel.set_yticks(range(len(cases)), cases)
    panel.set_ylim(len(cases) - 0.5, -0.5)
    panel.axvline(0.0, color='black', linewidth=0.8, linestyle='--')
    panel.set(title=workload, xlabel=f'{metric}, minus {study.reference}')
  for panel in (curves, *panels):
    panel.grid(alpha=0.3)
  figure.savefig(path, dpi=120)
