"""Runs of an earlier version, stored with their numbers.

`tests/testdata/records` holds small trained flows, a converted checkpoint, a
Keras file, and the numbers that come of them: per example log_prob of
evaluations (averages and last weights), samples, log_prob of an exported flow,
and losses of two more steps. Commit 676ad6a wrote them by the program that is
this module in commit 3dc966f. `records_test.py` finds the same numbers with the
present code: what was stored then stays readable, and means the same.
"""

from collections.abc import Callable
import csv
import json
import os
import pathlib
import shutil

import numpy as np

RECORDS = pathlib.Path(__file__).parent / 'testdata' / 'records'
KERAS_FILE = 'flow.keras'
# Runs are stored at step 3, when weights, averages and moments all differ.
_STEPS = (
    '--batch_size=16', '--num_steps=5', '--checkpoint_every=3',
    '--checkpoints_to_keep=3', '--warmup_steps=0', '--learning_rate=0.01',
    '--schedule=constant', '--log_every=1', '--sample_every=0')
RUNS = ('density', 'hybrid', 'coupling', 'labels', 'norms', 'table',
        'converted')
# What a converted model goes on to train on, in its folder.
_FURTHER = {'converted': ('--dataset=array:images.npz', *_STEPS)}

# Runs a tool in this process, with its name and arguments.
Run = Callable[..., object]
# In place of the folder in the flags that are stored.
_HERE = 'RECORDS'


def copy(name: str, folder: pathlib.Path) -> str:
  """Copies a stored run to a folder, and returns the path of the copy."""
  workdir = folder / name
  shutil.copytree(RECORDS / name, workdir)
  flags = workdir / 'run.flags'
  flags.write_text(flags.read_text().replace(_HERE, str(RECORDS)))
  return str(workdir)


def measure_weights(run: Run, workdir: str, folder: pathlib.Path,
                    ) -> dict[str, np.ndarray]:
  """Returns log_prob and samples in float64, where rounding does not matter.

  The present folder is that of the runs, which is where their data are.

  Args:
    run: `run(name, *arguments)` runs a tool.
    workdir: of the run.
    folder: for files.
  """
  output = folder / 'samples.npz'
  model = json.loads(pathlib.Path(workdir, 'model.json').read_text())
  condition = ['--condition=3'] if model['condition_labels'] else []
  run('sample', f'--workdir={workdir}', '--dtype=float64', '--num_samples=4',
      '--seed=5', *condition, f'--output={output}')
  with np.load(output) as arrays:
    return {**measure_log_prob(run, workdir, folder, averaged=True),
            **measure_log_prob(run, workdir, folder, averaged=False),
            'samples': arrays['x']}


def measure_log_prob(run: Run, workdir: str, folder: pathlib.Path,
                     averaged: bool) -> dict[str, np.ndarray]:
  """Returns log_prob of averages or weights, in float64, and of classes."""
  name = 'averages' if averaged else 'weights'
  output = folder / f'{name}.npz'
  data = (['--inputs=inputs.npz', '--estimator=adaptive:0.02']
          if pathlib.Path(workdir, 'conversion.json').exists() else
          ['--num_examples=16', '--nocertify'])
  run('evaluate', f'--workdir={workdir}', '--dtype=float64',
      f'--averaged={averaged}', *data, f'--output={output}')
  with np.load(output) as arrays:
    return {f'{name}.{key}': arrays[key] for key in (
        'log_prob', 'class_log_prob') if key in arrays}


def measure_export(run: Run, workdir: str, folder: pathlib.Path,
                   ) -> dict[str, np.ndarray]:
  """Returns log_prob as the exported flow replies."""
  import tensorflow as tf

  output = folder / 'exported'
  run('export', f'--workdir={workdir}', '--nowarmup', f'--output={output}')
  signature = tf.saved_model.load(str(output)).signatures['log_prob']
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
    else:
      inputs[name] = tf.constant(rng.normal(size=shape), spec.dtype)
  return {f'exported.{name}': value.numpy()
          for name, value in signature(**inputs).items()
          if name in ('log_prob', 'nats', 'bits_per_dim')}


def measure_steps(run: Run, workdir: str) -> dict[str, np.ndarray]:
  """Trains to the last step; returns the losses after the stored steps."""
  run('train', f'--flagfile={workdir}/run.flags', f'--workdir={workdir}',
      '--noevaluate_at_end', *_FURTHER.get(os.path.basename(workdir), ()))
  with open(os.path.join(workdir, 'metrics.csv'), encoding='utf-8') as file:
    rows = list(csv.DictReader(file))
  name = 'bits_per_dim' if 'bits_per_dim' in rows[0] else 'nats'
  return {'losses': np.array([float(row[name]) for row in rows[-2:]])}


def keras_log_prob(path: str | os.PathLike) -> np.ndarray:
  """Returns the log_prob of a stored Keras file, of fixed images."""
  import keras

  import tf_resflow.models  # noqa: F401 (registers the classes)

  model = keras.models.load_model(path)
  x = np.random.default_rng(8).random([4, *model.event_shape], np.float32)
  return model.log_prob(x, seed=2).numpy()
