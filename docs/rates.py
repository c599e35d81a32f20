"""The rate of errors that `score(fdr=)` keeps, and what it finds.

  python -m docs.rates rates.jsonl

Ten tables with known densities: mixtures of five Gaussians in five dimensions,
of which two columns are exponentials. A flow of `tf_resflow.fit` at its
defaults is trained on 5,000 rows of each; all other rows are drawn anew. For
each flow 2,000 times 2,000 rows are held out, and 100 are tested at a rate of
0.1: once usual ones alone, once 90 with 10 odd ones, whose cells are those of
five different rows. By chance the mean of the share of usual rows among those
marked is 0.1 and 0.09 at most.

The log has a line for each table: that mean and its standard error (`fdr`), and
the share of the odd rows that are marked (`power`), of the flow, of the
density that drew the rows, and of an IsolationForest of the same rows, whose
scores are treated alike, as nonconform does it.
"""

import functools
import json
import pathlib
import sys

import numpy as np
import pandas as pd
from scipy import special
from scipy import stats
from sklearn import ensemble

from docs import log_files
import tf_resflow
from tf_resflow.evaluation import statistics

NUM_TABLES, NUM_REPEATS, RATE = 10, 2000, 0.1
NUM_HELD_OUT, NUM_USUAL, NUM_ODD = 2000, 90, 10
NUM_COMPONENTS, SIZE = 5, 5
SCORES = ('flow', 'density', 'IsolationForest')
POSITIVE = np.array([False, False, False, True, True])


class Density:
  """A mixture of Gaussians of columns and logarithms of columns."""

  def __init__(self, seed: int):
    rng = np.random.default_rng(seed)
    self.weights = rng.dirichlet(np.full(NUM_COMPONENTS, 5.0))
    self.means = rng.normal(scale=1.5, size=[NUM_COMPONENTS, SIZE])
    factors = rng.normal(scale=0.6, size=[NUM_COMPONENTS, SIZE, SIZE])
    self.covariances = factors @ factors.transpose(0, 2, 1) + (
        0.02 * np.eye(SIZE))

  def draw(self, count: int, seed: int) -> np.ndarray:
    """Returns rows `[N, 5]`."""
    rng = np.random.default_rng([seed, 1])
    rows = np.concatenate([
        rng.multivariate_normal(mean, covariance, number)
        for number, mean, covariance in zip(
            rng.multinomial(count, self.weights), self.means, self.covariances,
            strict=True)])
    rows = rng.permutation(rows)
    return np.where(POSITIVE, np.exp(rows), rows)

  def log_prob(self, x: np.ndarray) -> np.ndarray:
    """Returns the log-density of rows, `[N]`."""
    y = np.where(POSITIVE, np.log(np.where(POSITIVE, x, 1.0)), x)
    return special.logsumexp(np.stack([
        np.log(weight) + stats.multivariate_normal(mean, covariance).logpdf(y)
        for weight, mean, covariance in zip(
            self.weights, self.means, self.covariances, strict=True)]),
                             axis=0) - y[:, POSITIVE].sum(axis=1)


def marked(scores: np.ndarray, held_out: np.ndarray) -> np.ndarray:
  """Returns which rows `score(fdr=0.1)` marks, by their log p."""
  return stats.false_discovery_control(
      statistics.conformal_p_values(scores, held_out)) <= RATE


def rates(usual: np.ndarray, odd: np.ndarray, seed: int) -> dict[str, float]:
  """Returns rates and power of scores of pools of usual and of odd rows."""
  rng, false, missed, found = np.random.default_rng(seed), [], [], []
  for _ in range(NUM_REPEATS):
    chosen = rng.permutation(len(usual))
    held_out, tested = usual[chosen[:NUM_HELD_OUT]], usual[
        chosen[NUM_HELD_OUT:NUM_HELD_OUT + NUM_USUAL + NUM_ODD]]
    false.append(float(marked(tested, held_out).any()))
    is_marked = marked(np.r_[tested[:NUM_USUAL], rng.choice(
        odd, NUM_ODD, replace=False)], held_out)
    missed.append(is_marked[:NUM_USUAL].sum() / max(is_marked.sum(), 1))
    found.append(is_marked[NUM_USUAL:].mean())
  return {
      'fdr_usual': np.mean(false), 'fdr_usual_stderr': stats.sem(false),
      'fdr': np.mean(missed), 'fdr_stderr': stats.sem(missed),
      'power': np.mean(found)}


def _log_prob(flow: tf_resflow.models.Flow, x: np.ndarray) -> np.ndarray:
  return tf_resflow.evaluation.evaluate_inputs(flow, x)['log_prob']


def run(log: pathlib.Path) -> None:
  """Computes what the log does not have."""
  for seed in range(len(log_files.lines(log)), NUM_TABLES):
    density = Density(seed)
    names = [f'x{i}' for i in range(SIZE)]
    train = density.draw(5000, seed=1)
    flow = tf_resflow.fit(
        pd.DataFrame(train, columns=names),
        test_rows='none', evaluate_at_end=False, seed=seed, verbose=False)
    usual = density.draw(40_000, seed=2)
    odd = np.random.default_rng(seed).permuted(
        density.draw(4_000, seed=3), axis=0)
    forest = ensemble.IsolationForest(random_state=seed).fit(train)
    line = {'table': seed}
    for name, score_fn in zip(SCORES, (
        functools.partial(_log_prob, flow), density.log_prob,
        forest.score_samples), strict=True):
      found = rates(score_fn(usual), score_fn(odd), seed)
      line |= {f'{name}_{key}': round(float(value), 5)
               for key, value in found.items()}
    with log.open('a') as file:
      file.write(json.dumps(line) + '\n')
    print(line, flush=True)


def tables(log: pathlib.Path) -> str:
  """Returns the table of the log, as Markdown."""
  frame = pd.DataFrame(log_files.lines(log))
  rows = ['| scores of | usual rows alone | 10 of 100 odd | odd rows found |',
          '|---|---|---|---|']
  for name in SCORES:
    cells = [
        f'{frame[f"{name}_{key}"].mean():.3f} +- '
        f'{stats.sem(frame[f"{name}_{key}"]):.3f}'
        for key in ('fdr_usual', 'fdr', 'power')]
    rows.append(f'| {name} | {" | ".join(cells)} |')
  return '\n'.join(rows)


if __name__ == '__main__':
  run(pathlib.Path(sys.argv[1]))
  print(tables(pathlib.Path(sys.argv[1])))
