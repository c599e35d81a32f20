"""Cases of studies that are programs: what they are given, and what they give.

  PYTHON SCRIPT ROWS.npz VALUES.npz SEED

ROWS.npz has float64 arrays of three parts: the training rows `train` `[N, D]`;
`validation` `[V, D]`, perhaps without a row; and the points of the test rows,
`points` `[M, D]`. They are in the units of the data; `mapped_train`, ... in the
coordinates of the types of columns, and `log_det_train` `[N]`, ... `log|det
dy/dx|` of these. VALUES.npz gets `log_prob` `[M]`, nats, of the points in the
units of the data, -inf where they have no density.

Of a row with whole numbers `points` has several points of its cell, over which
the study averages, see `mapping.mapped`; other parts have a random one.
"""

from collections.abc import Sequence
import dataclasses
import hashlib
import os
import pathlib
from typing import Any

import numpy as np

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow.columns import mapping

ROWS, VALUES = 'rows.npz', 'values.npz'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
  """A case of a study on vectors that is a program, of other libraries perhaps.

  It has rows as the flows of the study have them: the same training, validation
  and test rows.

  Attributes:
    script: path of the file.
    requirements: packages of its environment, as pip takes them; without any it
      runs as the study does.
    sha256: of its text, by which a script that has changed is another one.

  Example:
    >>> path = pathlib.Path('uniform.py')
    >>> _ = path.write_text('...')
    >>> Program(script=path, requirements=['zuko==1.6.0']).declared()['script']
    'uniform.py'
  """

  script: str | os.PathLike
  requirements: Sequence[str] = ()
  sha256: str = ''

  def __post_init__(self):
    object.__setattr__(self, 'requirements', tuple(self.requirements))
    if not self.sha256:
      path = pathlib.Path(self.script)
      errors.check(path.is_file(), 'script', path, 'a file')
      object.__setattr__(
          self, 'sha256', hashlib.sha256(path.read_bytes()).hexdigest())

  def declared(self) -> dict[str, Any]:
    """Returns it as logs have it: without the folder."""
    return dataclasses.asdict(self) | {'script': os.path.basename(self.script)}


def check(config: configuration.Config) -> None:
  """Raises `InvalidValueError` unless programs can have data of a run."""
  errors.check(
      not config.model.is_image and not config.data.condition_on, 'dataset',
      config.data.dataset, 'vectors without a condition',
      'Programs have no other data.')


def write_rows(config: configuration.Config, workdir: str) -> None:
  """Writes the rows of a run into a folder, see the module."""
  schema = config.model.schema
  types = schema.types if schema else ()
  parts = ['train', 'test'] + ['validation'] * bool(config.data.num_validation)
  x = {part: np.float64(config.open_split(part).arrays['x'].numpy())
       for part in parts}
  x.setdefault('validation', x['train'][:0])
  has_density, _ = mapping.with_density(types, x['test'])
  arrays = {'has_density': has_density}
  rng = np.random.default_rng(config.run.seed)
  for name, rows in (('train', x['train']), ('validation', x['validation']),
                     ('points', x['test'][has_density])):
    # A mixture may collapse on the fixed points, on which it is tested.
    noise = None if name == 'points' else rng.random(rows.shape)
    mapped, log_det = mapping.mapped(types, rows, noise)
    plain = mapping.dequantized(types, rows, noise)
    arrays |= {name: plain.reshape([-1, rows.shape[1]]),
               f'mapped_{name}': mapped.reshape([-1, rows.shape[1]]),
               f'log_det_{name}': log_det.ravel()}
  np.savez(os.path.join(workdir, ROWS), **arrays)


def read_values(workdir: str) -> tuple[dict[str, Any], np.ndarray]:
  """Returns the record and the nats `[N]` of what a program has written.

  Rows without a density, under the types of columns or by the program, have
  infinite nats, and are left out of the mean.

  Raises:
    InvalidValueError: if there is no `log_prob` of all points.
  """
  from tf_resflow.evaluation import statistics  # It loads SciPy.
  with np.load(os.path.join(workdir, ROWS)) as rows:
    has_density, num_points = rows['has_density'], len(rows['points'])
  path = os.path.join(workdir, VALUES)
  errors.check(os.path.exists(path), 'log_prob', 'nothing', f'a file {path}')
  with np.load(path) as values:
    log_prob = np.float64(values.get('log_prob', []))
  errors.check(log_prob.shape == (num_points,), 'log_prob', f'{log_prob.shape}',
               f'an array [{num_points}] in {path}')
  nats = np.full(len(has_density), np.inf)
  num_wrong = np.sum(np.isnan(log_prob) | np.isposinf(log_prob))
  if num_wrong:
    return {'problem': f'log_prob of {num_wrong} points is no number'}, nats
  cells = log_prob.reshape([has_density.sum(), -1])
  nats[has_density] = np.log(cells.shape[1]) - np.logaddexp.reduce(
      cells, axis=1)
  return statistics.mean_and_stderr(
      nats[np.isfinite(nats)]).report('nats'), nats
