"""Tables and pictures of a study, from the records of its log alone."""

import math
import os

from matplotlib import figure as figure_lib
import numpy as np
from scipy import stats

from tf_resflow.experiments import comparison
from tf_resflow.experiments import study as study_lib


def table(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns the finalists as a table in Markdown, rows of all workloads.

  A cell of a mean has the half width of its interval, and so have differences
  to the first case; see `comparison.of_seeds_and_examples`.
  """
  rows = [['', 'case', 'learning rate', 'steps', study.metric,
           f'minus {study.reference}', 'order']]
  for workload in study.workloads:
    for case in study.cases:
      finals = study.finals(workload, case, records)
      compared = records.get(
          study_lib.Task(study_lib.COMPARE, workload, case).name)
      mark = ' (edge)' if study.is_at_edge(case, records) else ''
      rows.append([
          workload, case, f'{finals[0].rate:g}{mark}',
          f'{study.num_steps(workload, case, records):,}',
          _mean([records[final.name] for final in finals], study.metric),
          *(['', ''] if compared is None else _difference(study, compared))])
  return _markdown(rows)


def rates_table(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns the validation values of all rates as a table in Markdown."""
  rates = study.grid(records)
  rows = [[f'validation {study.metric}', *(f'{rate:g}' for rate in rates)]]
  for case in study.cases:
    best = study.best_rate(case, records)
    cells = []
    for rate in rates:
      value = records[study_lib.Task(
          study_lib.TUNE, study.tuning, case, rate).name].get(study.metric)
      text = 'diverged' if value is None else f'{value:.4f}'
      cells.append(f'**{text}**' if rate == best else text)
    rows.append([case, *cells])
  return _markdown(rows)


def _mean(finals, metric):
  """Returns the mean of finalists, with the half width of its interval.

  The error across examples, which they share, is that of the first one.
  """
  values = [record[metric] for record in finals]
  stderr = math.hypot(stats.sem(values), finals[0][f'{metric}_stderr'])
  width = stats.t.ppf(
      0.5 + comparison.LEVEL / 2, len(values) - 1) * stderr
  return f'{np.mean(values):.4f} +- {width:.4f}'


def _difference(study, compared):
  estimate = comparison.Estimate(
      *(compared[name] for name in comparison.Estimate._fields))
  order = 'undecided' if not estimate.is_decided else (
      'better' if study.sign * estimate.mean < 0 else 'worse')
  return [f'{estimate.mean:+.4f} [{estimate.low:+.4f}, {estimate.high:+.4f}]',
          order]


def _markdown(rows):
  lines = ['| ' + ' | '.join(row) + ' |' for row in rows]
  return '\n'.join([lines[0], '|---' * len(rows[0]) + '|', *lines[1:]])


def save_picture(study: study_lib.Study, records: study_lib.Records,
                 path: str | os.PathLike) -> None:
  """Draws validation values over rates, and the differences of finalists."""
  figure = figure_lib.Figure(
      (4.2 * (1 + len(study.workloads)), 3.4), layout='constrained')
  curves, *panels = figure.subplots(1, 1 + len(study.workloads))
  rates = study.grid(records)
  for case in study.cases:
    curves.plot(rates, [
        records[study_lib.Task(
            study_lib.TUNE, study.tuning, case, rate).name].get(
                study.metric) or math.nan for rate in rates],
                'o-', label=case, markersize=4)
  curves.set(xscale='log', xlabel='learning rate',
             ylabel=f'validation {study.metric}', title=study.tuning)
  curves.legend(frameon=False)
  cases = [case for case in study.cases if case != study.reference]
  for panel, workload in zip(panels, study.workloads, strict=True):
    found = [records[study_lib.Task(study_lib.COMPARE, workload, case).name]
             for case in cases]
    means = np.array([record['mean'] for record in found])
    panel.errorbar(
        means, range(len(cases)), fmt='o', capsize=3,
        xerr=[means - [r['low'] for r in found],
              [r['high'] for r in found] - means])
    panel.set_yticks(range(len(cases)), cases)
    panel.set_ylim(len(cases) - 0.5, -0.5)
    panel.axvline(0.0, color='black', linewidth=0.8, linestyle='--')
    panel.set(title=workload,
              xlabel=f'{study.metric}, minus {study.reference}')
  for panel in (curves, *panels):
    panel.grid(alpha=0.3)
  figure.savefig(path, dpi=120)
