"""Runs of an earlier version, stored with their numbers.

    python -m tests.records FOLDER

trains small flows, converts a checkpoint, saves a Keras file, and writes them
to a new folder with the numbers that come of them: per example log_prob of
evaluations (averages and last weights), samples, log_prob of an exported flow,
and losses of two more steps. `tests/testdata/records` holds those of commit
676ad6a, as this script wrote them there. `records_test.py` finds the same
numbers with the present code: what was stored then stays readable, and means
the same.
"""

from collections.abc import Callable, Mapping
import csv
import json
import os
import pathlib
import shutil
import sys

import numpy as np

RECORDS = pathlib.Path(__file__).parent / 'testdata' / 'records'
KERAS_FILE = 'flow.keras'
# Stored at step 3, when weights, averages and moments all differ.
_STEP, _LAST_STEP = 3, 5
_STEPS = (
    '--batch_size=16', f'--num_steps={_LAST_STEP}',
    f'--checkpoint_every={_STEP}', '--checkpoints_to_keep=3',
    '--warmup_steps=0', '--learning_rate=0.01', '--schedule=constant',
    '--log_every=1', '--sample_every=0', '--noevaluate_at_end')
# Two dense blocks are alike in all shapes.
_IMAGES = (
    '--num_blocks=1,1', '--hidden_channels=8', '--num_dense_blocks=2',
    '--dense_hidden_units=8', *_STEPS)
_VECTORS = ('--num_blocks=2', '--hidden_units=8,8', *_STEPS)
RUNS = {
    'density': ('--flagfile=digits', *_IMAGES),
    'hybrid': ('--flagfile=digits_hybrid', '--head_channels=8', *_IMAGES),
    'coupling': (
        '--dataset=digits', '--block=coupling', '--activation=relu',
        '--invertible_linear=lu', *_IMAGES),
    'labels': (
        '--flagfile=digits', '--condition=label', '--condition_features=4',
        '--condition_hidden_units=8', *_IMAGES),
    'norms': ('--flagfile=2d_norms', *_VECTORS),
    # In the folder of the runs.
    'table': ('--flagfile=table', '--dataset=table:table.csv', *_VECTORS),
    'converted': None,
}
# What a converted model goes on to train on, in its folder.
_FURTHER = {
    'converted': ('--dataset=array:images.npz', *_STEPS)}

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


def measure(run: Run, workdir: str, folder: pathlib.Path,
            ) -> dict[str, np.ndarray]:
  """Returns the numbers of a stored run.

  The present folder is that of the runs, which is where their data are.

  Args:
    run: `run(name, *arguments)` runs a tool.
    workdir: of the run, which goes on training there.
    folder: for files.
  """
  return {**measure_weights(run, workdir, folder),
          **measure_export(run, workdir, folder),
          **measure_steps(run, workdir)}


def measure_weights(run: Run, workdir: str, folder: pathlib.Path,
                    ) -> dict[str, np.ndarray]:
  """Returns log_prob and samples in float64, where rounding does not matter."""
  output = folder / 'samples.npz'
  condition = ['--condition=3'] if _is_conditional(workdir) else []
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
          if _has_inputs(workdir) else
          ['--num_examples=16', '--nocertify'])
  run('evaluate', f'--workdir={workdir}', '--dtype=float64',
      f'--averaged={averaged}', *data, f'--output={output}')
  with np.load(output) as arrays:
    return {f'{name}.{key}': arrays[key] for key in (
        'log_prob', 'class_log_prob') if key in arrays}


def _config(workdir):
  return json.loads(pathlib.Path(workdir, 'model.json').read_text())


def _is_conditional(workdir):
  return bool(_config(workdir)['condition_labels'])


def _has_inputs(workdir):
  return pathlib.Path(workdir, 'conversion.json').exists()


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


# How the folder is made.


def _tool(name: str, *arguments: str) -> None:
  from tf_resflow.commands import runner

  status = runner.run(name, list(arguments))
  if status:
    raise RuntimeError(f'{name} {arguments}: status {status}')


def _train(name: str) -> None:
  _tool('train', *RUNS[name], f'--workdir={name}')
  shutil.rmtree(f'{name}/tensorboard')
  checkpoints = pathlib.Path(name, 'checkpoints')
  for path in checkpoints.glob('ckpt-*'):
    if path.name.partition('.')[0] != f'ckpt-{_STEP}':
      path.unlink()
  (checkpoints / 'checkpoint').write_text(
      f'model_checkpoint_path: "ckpt-{_STEP}"\n'
      f'all_model_checkpoint_paths: "ckpt-{_STEP}"\n'
      'all_model_checkpoint_timestamps: 1.0\n')
  rows = pathlib.Path(name, 'metrics.csv')
  rows.write_text('\n'.join(
      rows.read_text().splitlines()[:_STEP + 1]) + '\n')


def _convert() -> None:
  from tests.conversion import checkpoints

  rng = np.random.default_rng(11)
  np.savez_compressed(
      'images.npz', x=rng.integers(256, size=[64, 8, 8, 1], dtype=np.uint8))
  np.savez_compressed('inputs.npz', x=rng.random([4, 8, 8, 1]))
  checkpoints.write('model.pth', 'grey')
  _tool('convert', '--checkpoint=model.pth', '--workdir=converted')
  os.remove('model.pth')


def _keras_file() -> None:
  from tf_resflow import models

  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=17, num_blocks=(1, 1),
      hidden_channels=4, dense_hidden_units=4, num_dense_blocks=1,
      activation='cpila').build()
  rng = np.random.default_rng(12)
  model.initialize(rng.random([8, 4, 4, 1], np.float32), seed=0)
  model.save(KERAS_FILE)


def _table() -> None:
  from sklearn import datasets

  cancer = datasets.load_breast_cancer()
  np.savetxt('table.csv', cancer.data[:200, :4], '%g', ',', comments='',
             header=','.join(cancer.feature_names[:4]))


def main(folder: str) -> None:
  """Makes the runs, measures copies of them, and writes the numbers."""
  os.makedirs(folder)
  os.chdir(folder)
  _table()
  _keras_file()
  numbers: Mapping[str, np.ndarray] = {
      'keras.log_prob': keras_log_prob(KERAS_FILE)}
  scratch = pathlib.Path(folder).absolute().with_suffix('.scratch')
  for name, flags in RUNS.items():
    if flags is None:
      _convert()
    else:
      _train(name)
    shutil.copytree(name, scratch / name / name)
    # Beside the data that it names.
    found = measure(_tool, str(scratch / name / name), scratch / name)
    numbers |= {f'{name}.{key}': value for key, value in found.items()}
  np.savez_compressed('numbers.npz', **numbers)
  shutil.rmtree(scratch)
  flags = pathlib.Path('table', 'run.flags')
  flags.write_text(flags.read_text().replace(os.getcwd(), _HERE))


if __name__ == '__main__':
  main(sys.argv[1])
