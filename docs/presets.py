"""Trains the presets of the package, and writes them to tf_resflow/presets.

  python -m docs.presets [NAME]

Of a run are kept its settings, the averaged weights and its report; of a table
columns, types, and scores and hashes of rows, but no row.
"""

import pathlib
import shutil
import sys
import tempfile

from sklearn import datasets

import tf_resflow
from tf_resflow import training
from tf_resflow.workflow import presets


def _cancer() -> dict:
  """The table of README; the last 114 rows test."""
  frame = datasets.load_breast_cancer(as_frame=True).data.iloc[:, :10]
  return {'data': frame[:-114], 'test': frame[-114:]}


def _toy(name: str) -> dict:
  """A smaller flow than that of the flagfile `2d`, which is the default."""
  return {'data': f'2d/{name}', 'num_blocks': 8, 'hidden_units': (32, 32)}


SETTINGS = {
    'cancer': _cancer,
    'digits': lambda: {'data': 'digits'},
    'moons': lambda: _toy('moons'),
    'rings': lambda: _toy('rings')}


def write(name: str) -> None:
  """Trains a preset in a temporary folder, and keeps what `load` reads."""
  with tempfile.TemporaryDirectory() as folder:
    trained, kept = pathlib.Path(folder) / name, pathlib.Path(folder) / 'kept'
    settings = SETTINGS[name]()
    flow = tf_resflow.fit(
        settings.pop('data'), workdir=trained, refit=False, **settings)
    run = flow.run
    training.workdir.create_workdir(
        kept, run.config, flow, step=run.step, extra_files={
            'report.json': (trained / 'report.json').read_text()})
    # Scores and hashes of rows, for p-values.
    for pattern in ('held_out.npz', 'train_rows.npy'):
      for path in trained.glob(pattern):
        shutil.copy(path, kept)
    target = presets.FOLDER / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(kept, target)
  print(name, run.step, run.summary, flush=True)


if __name__ == '__main__':
  for preset in sys.argv[1:] or SETTINGS:
    write(preset)
