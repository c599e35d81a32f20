"""What a page about a flow shows of data and samples."""

import functools
from typing import Any

import numpy as np
from scipy import stats

from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.columns import rows as rows_lib
from tf_resflow.workflow import runs

# Most rows or images of a part that are shown, rows that are tested.
_MAX_ROWS, _MAX_IMAGES, MAX_TESTED = 5_000, 10_000, 2_000
_MAX_VALUES = 2**25  # Of these images.


class PageData:
  """What sections are made of: the flow, its run, data and samples.

  Args:
    flow: of a run.
    shows_rows: whether cells of single rows are shown.
  """

  def __init__(self, flow: models.Flow, shows_rows: bool = False):
    self.flow, self.run = flow, runs.of(flow, 'a page is made')
    self.shows_rows = shows_rows
    self.part = functools.cache(self._part)
    self.scores = functools.cache(self._scores)

  def _part(self, name):
    """Returns examples, bytes or a data frame, and their conditions or None."""
    split = self.run.open(name)
    if split.is_image:
      count = min(_MAX_IMAGES, _MAX_VALUES // self.flow.event_size)
      part = next(iter(split.examples.take(count).batch(count)))
      x = evaluation.plots.levels_to_bytes(part['x'], split.num_levels)
      chosen = slice(None)
    else:
      part, chosen = split.arrays, split.chosen(_MAX_ROWS)
      x = self.frame(part['x'].numpy()[chosen])
    return x, part['condition'].numpy()[chosen] if 'condition' in part else None

  def _scores(self, name):
    """Returns indices of some rows of a part that count, and their log p."""
    split = self.run.open(name)
    used = np.random.default_rng(0).permutation(split.num_examples)
    if split.weights is not None:
      used = used[split.weights[used] > 0.0]
    used = np.sort(used[:MAX_TESTED])
    return used, self.flow.score_samples(*(
        split.arrays[key].numpy()[used] if key in split.arrays else None
        for key in ('x', 'condition')))

  def frame(self, x: np.ndarray) -> Any:
    """Returns vectors on the grids of their columns."""
    schema = self.flow.schema
    return rows_lib.to_frame(schema, x)[[*schema.names]].astype(
        self.flow.input_dtype)

  def draw(self, num_samples: int, condition: Any = None,
           seed: int = 0) -> Any:
    """Returns samples, as `part` returns data."""
    x = evaluation.pictures.draw(
        self.flow, num_samples, condition=condition, seed=seed,
        batch_size=evaluation.default_batch_size(self.flow))[0]['x']
    return evaluation.pictures.to_bytes(
        x, self.flow.num_levels) if self.flow.is_image else self.frame(x)

  @functools.cached_property
  def rows(self) -> tuple[Any, Any]:
    """Held-out rows, samples given their conditions, of a flow of vectors."""
    x, condition = self.part(self.run.held_out)
    return x, self.draw(len(x), condition)

  @functools.cached_property
  def columns(self) -> Any:
    """What is known of columns, a frame; those that differ most are first."""
    import pandas as pd  # Takes a second.

    x, samples = self.rows
    return pd.DataFrame({
        '#': range(1, len(x.columns) + 1),
        'type': [column.type for column in self.flow.schema.modelled],
        'KS distance': stats.ks_2samp(x, samples, method='asymp').statistic,
        'mean': x.mean(), 'of samples': samples.mean(),
        'std': x.std(), 'of samples ': samples.std(),
    }, x.columns).sort_values('KS distance', ascending=False, kind='stable')

  def label(self, name: str) -> str:
    """Returns what a column is called in figures."""
    return f'{self.columns.at[name, "#"]}  {name[:16]}'
