"""Runs of earlier versions, stored with their numbers.

`tests/testdata` holds small trained flows, and the numbers that come of them:
per example log_prob of evaluations (averages and last weights), samples,
log_prob of an exported flow, and losses of two more steps.

* `records`: images, points, a table, a converted checkpoint and a Keras file.
  Commit 676ad6a wrote it by the program that is this module in commit 3dc966f.
* `records_181e7620`: tables, with all types of columns, conditions of text and
  numbers, empty cells, a test row without a density, and a run of two
  processes; also reports, and whole tables of scores and samples. Commit
  181e7620 wrote it by `main`, from the two tables that are there:

      PYTHONPATH=CHECKOUT python -m tests.records --output=FOLDER

`records_test.py` finds the same numbers with the present code: what was stored
then stays readable, and means the same.
"""

import argparse
from collections.abc import Callable, Mapping
import csv
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import numpy as np

from tests import hosts

_TESTDATA = pathlib.Path(__file__).parent / 'testdata'
_TABLES = _TESTDATA / 'records_181e7620'
KERAS_FILE = _TESTDATA / 'records' / 'flow.keras'
# In place of the folder of a record in flags that are stored.
_HERE = 'RECORDS'
# What depends on rounding or on the machine, in reports.
_UNSTABLE = re.compile('devices|inver|reconstruct')

# Runs a tool with its name and arguments, and returns its stdout.
Run = Callable[..., str]


@dataclasses.dataclass(frozen=True)
class StoredRun:
  """A run of a record, and what asks it for numbers.

  Runs are stored at step 3, when weights, averages and moments all differ.

  Attributes:
    commands: tools and their arguments, by the file that they write.
    further: flags with which training goes on.
    train: flags that made it, if `main` did.
    name: of its folder, in that of the `record` and its data.
  """

  commands: Mapping[str, tuple[str, ...]]
  further: tuple[str, ...] = ()
  train: tuple[str, ...] = ()
  name: str = ''
  record: pathlib.Path = _TESTDATA / 'records'

  def placed(self, arguments: tuple[str, ...]) -> list[str]:
    """Returns arguments with the folder of the record."""
    return [text.replace(_HERE, str(self.record)) for text in arguments]


def _commands(*data: str, condition: str = '') -> dict[str, tuple[str, ...]]:
  return {
      'averages.npz': ('evaluate', '--averaged=True', *data),
      'weights.npz': ('evaluate', '--averaged=False', *data),
      'samples.npz': ('sample', '--num_samples=4', '--seed=5', *(
          [f'--condition={condition}'] * bool(condition)))}


def _trained(file: str, *flags: str, condition: str = '',
             further: tuple[str, ...] = ()) -> StoredRun:
  """Returns a run of the flagfile `table`, with a best step."""
  commands = _commands('--checkpoint=latest', condition=condition)
  del commands['averages.npz']  # Those of the best step make the scores.
  commands['scores.csv'] = (
      'score', '--verify', f'--inputs={_HERE}/{file}', '--nocertify')
  if condition:
    commands['drawn.csv'] = (
        'sample', '--num_samples=8', f'--condition={_HERE}/{file}')
  return StoredRun(commands, further, train=(
      '--flagfile=table', f'--dataset=table:{_HERE}/{file}', '--num_blocks=2',
      '--hidden_units=8,8', '--batch_size=16', '--num_steps=5',
      '--warmup_steps=0', '--learning_rate=0.01', '--log_every=1',
      '--sample_every=0', '--evaluate_every=2', '--checkpoints_to_keep=1',
      *flags), record=_TABLES)


_DATA = ('--num_examples=16', '--nocertify')
RUNS = {name: dataclasses.replace(stored, name=name) for name, stored in {
    **dict.fromkeys(('density', 'hybrid', 'coupling', 'norms', 'table'),
                    StoredRun(_commands(*_DATA))),
    'labels': StoredRun(_commands(*_DATA, condition='3')),
    'converted': StoredRun(
        _commands(f'--inputs={_HERE}/inputs.npz', '--estimator=adaptive:0.02'),
        further=(
            f'--dataset=array:{_HERE}/images.npz', '--batch_size=16',
            '--num_steps=5', '--checkpoint_every=3', '--checkpoints_to_keep=3',
            '--warmup_steps=0', '--learning_rate=0.01', '--schedule=constant',
            '--log_every=1', '--sample_every=0')),
    'types': _trained(
        'people.csv', '--condition=city,dose', '--missing=drop',
        '--column_types=share:logit:100,height:real', '--condition_features=4',
        '--condition_hidden_units=8', condition='Oslo,2.5'),
    'integers': _trained('counts.csv', '--split=last'),
    'workers': _trained(
        'people.csv', '--columns=height,income', '--split=column:city',
        '--missing=drop', '--strategy=multi_worker', '--schedule=constant',
        '--input_noise=0', '--num_steps=3',
        further=('--strategy=single', '--num_steps=5')),
}.items()}
# That `main` trains.
TRAINED = {name: stored for name, stored in RUNS.items() if stored.train}


def copy(stored: StoredRun, folder: pathlib.Path) -> pathlib.Path:
  """Copies a stored run to a folder, and returns the path of the copy."""
  workdir = folder / stored.name
  shutil.copytree(stored.record / stored.name, workdir)
  _replace(workdir / 'run.flags', _HERE, str(stored.record))
  return workdir


def _replace(path, old, new):
  path.write_text(path.read_text().replace(old, new))


def measure(run: Run, stored: StoredRun, workdir: pathlib.Path, file: str,
            ) -> dict[str, np.ndarray]:
  """Returns what a command reports and writes to a file, in float64."""
  tool, *arguments = stored.placed(stored.commands[file])
  output = workdir.with_name(file)
  report = json.loads(run(
      tool, f'--workdir={workdir}', '--dtype=float64', *arguments,
      f'--output={output}').splitlines()[-1])
  found = {f'report.{key}': np.array(value) for key, value in report.items()
           if isinstance(value, int | float) and not _UNSTABLE.search(key)}
  if output.suffix == '.csv':
    columns, *rows = csv.reader(output.read_text().splitlines())
    found |= {'columns': np.array(columns)} | dict(zip(
        columns, map(_values, zip(*rows, strict=True)), strict=True))
  else:
    with np.load(output) as arrays:
      found |= arrays
  return {f'{output.stem}.{key}'.removesuffix('.x'): value
          for key, value in found.items()}


def _values(cells):
  try:
    return np.array([float(cell or 'nan') for cell in cells])
  except ValueError:
    return np.array(cells)


def measure_export(run: Run, stored: StoredRun, workdir: pathlib.Path,
                   ) -> dict[str, np.ndarray]:
  """Returns log_prob as the exported flow replies."""
  import tensorflow as tf

  output = str(workdir.with_name('exported'))
  run('export', f'--workdir={workdir}', '--nowarmup', f'--output={output}')
  signature = tf.saved_model.load(output).signatures['log_prob']
  rng = np.random.default_rng(7)
  inputs = {}
  # TensorFlow's order differs from process to process.
  for name, spec in sorted(signature.structured_input_signature[1].items()):
    shape = [4, *spec.shape[1:]]
    if name == 'seed':
      inputs[name] = tf.constant([3, 4], spec.dtype)
    elif spec.dtype.is_integer:
      high = 10 if name == 'condition' else 17
      inputs[name] = tf.constant(rng.integers(high, size=shape), spec.dtype)
    else:  # Columns of all types can be whole numbers below 100.
      inputs[name] = tf.constant(
          rng.integers(1, 100, size=shape) if stored.train else
          rng.normal(size=shape), spec.dtype)
  return {f'exported.{name}': value.numpy()
          for name, value in signature(**inputs).items()
          if name in ('log_prob', 'nats', 'bits_per_dim')}


def measure_steps(run: Run, stored: StoredRun, workdir: pathlib.Path,
                  ) -> dict[str, np.ndarray]:
  """Trains to the last step; returns the losses after the stored steps."""
  run('train', f'--flagfile={workdir}/run.flags', f'--workdir={workdir}',
      '--noevaluate_at_end', *stored.placed(stored.further))
  rows = [*csv.DictReader((workdir / 'metrics.csv').read_text().splitlines())]
  loss = next(name for name in ('bits_per_dim', 'nats', 'noisy_nats')
              if name in rows[0])
  return {label: _values([row.get(name) for row in rows[-2:]]) for label, name
          in (('losses', loss), ('validation', 'validation_loss'))}


def keras_log_prob(path: str | os.PathLike) -> np.ndarray:
  """Returns the log_prob of a stored Keras file, of fixed images."""
  import keras

  import tf_resflow.models  # noqa: F401 (registers the classes)

  model = keras.models.load_model(path)
  x = np.random.default_rng(8).random([4, *model.event_shape], np.float32)
  return model.log_prob(x, seed=2).numpy()


# How the second record is made, by the package on PYTHONPATH.
_PYTHON = sys.executable, '-P'


def _run(*arguments):
  return subprocess.run([*_PYTHON, '-m', 'tf_resflow', *arguments], check=True,
                        stdout=subprocess.PIPE, text=True).stdout


def _train(stored):
  """Trains a run: one process is stopped after step 3, two reach the end."""
  workdir = stored.record / stored.name
  count, stop, status = (2, (-1, 0), 0) if (
      '--strategy=multi_worker' in stored.train) else (
          1, (3, int(signal.SIGTERM)), 3)
  addresses = ','.join(hosts.hosts(count))
  processes = [subprocess.Popen([
      *_PYTHON, '-c', hosts.STOPPED, *map(str, stop), f'--workdir={workdir}',
      *stored.placed(stored.train), '--noevaluate_at_end',
      *(f'--worker_hosts={addresses}', f'--worker_index={i}') * (count > 1)])
               for i in range(count)]
  assert {process.wait() for process in processes} == {status}
  shutil.rmtree(workdir / 'tensorboard')
  _replace(workdir / 'run.flags', str(stored.record), _HERE)


def main(output: str) -> None:
  """Writes the record of the stored tables: runs, and what copies measure."""
  record = pathlib.Path(output).absolute()
  record.mkdir()
  for table in _TABLES.glob('*.csv'):
    shutil.copy(table, record)
  numbers = {}
  for name, stored in TRAINED.items():
    stored = dataclasses.replace(stored, record=record)
    _train(stored)
    with tempfile.TemporaryDirectory() as scratch:
      copied = _run, stored, copy(stored, pathlib.Path(scratch))
      for found in (*(measure(*copied, file) for file in stored.commands),
                    measure_export(*copied), measure_steps(*copied)):
        numbers |= {f'{name}.{key}': value for key, value in found.items()}
  np.savez_compressed(record / 'numbers.npz', **numbers)


if __name__ == '__main__':
  parser = argparse.ArgumentParser()
  parser.add_argument('--output', required=True)
  main(**vars(parser.parse_args()))
