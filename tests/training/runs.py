"""A short run of the digits, what its folder holds; steps on replicas."""

import csv
import pathlib
import shutil

import numpy as np
from tensorboard.backend.event_processing import plugin_event_accumulator
import tensorflow as tf

from tests import replicas
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow import training


def config(data_dir=None, **changes):
  """Returns the configuration of four steps of a small flow."""
  return configuration.make_config(**{
      'data_dir': data_dir, 'num_blocks': (1,), 'hidden_channels': 4,
      'kernel_sizes': (3, 1), 'num_dense_blocks': 0, 'batch_size': 32,
      'num_steps': 4, 'warmup_steps': 0, 'checkpoint_every': 2,
      'sample_every': 0, 'learning_rate': 0.01, **changes})


def assert_equal(one, other):
  """Checks that trainers of two runs of four steps end bit for bit alike."""
  assert one.step == other.step == 4
  for a, b in zip(
      [v.value for v in one.model.variables] + one.ema.averages,
      [v.value for v in other.model.variables] + other.ema.averages,
      strict=True):
    np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.name)


def resume(config, folder):
  """Returns the trainer of a run, and of a copy that goes on from its half.

  Without the list of TensorFlow.
  """
  whole = training.train(config, str(folder / 'whole'))
  shutil.copytree(folder / 'whole', folder / 'resumed')
  for name in ('checkpoint', 'ckpt-4.index'):
    (folder / 'resumed' / 'checkpoints' / name).unlink()
  assert training.workdir.restore_model(str(folder / 'resumed'))[1] == 2
  return whole, training.train(config, str(folder / 'resumed'))


def tensors(path):
  """Returns everything in a checkpoint but how often one was saved."""
  reader = tf.train.load_checkpoint(str(path))
  return {
      name: np.asarray(reader.get_tensor(name))
      for name in reader.get_variable_to_shape_map()
      if not name.startswith(('save_counter', '_CHECKPOINTABLE', 'value/'))}


def different(one, other):
  """Returns the names of tensors that differ in any bit."""
  assert one.keys() == other.keys()
  return {name for name, a in one.items()
          if (a.dtype, a.shape, a.tobytes()) != (
              other[name].dtype, other[name].shape, other[name].tobytes())}


def contents(folder):
  """Returns the bytes and times of all files of a folder."""
  return {
      str(path.relative_to(folder)):
          (path.read_bytes(), path.stat().st_mtime_ns)
      for path in pathlib.Path(folder).rglob('*') if path.is_file()
  }


def steps(workdir, folder='best'):
  """Returns the steps of checkpoints, sorted."""
  paths = pathlib.Path(workdir).glob(f'{folder}/*.index')
  return sorted(int(path.stem.split('-')[1]) for path in paths)


def rows(workdir):
  """Returns the rows of metrics.csv."""
  with open(pathlib.Path(workdir) / 'metrics.csv', newline='') as file:
    return list(csv.DictReader(file))


def number_events(workdir):
  """Renames event files: those of one second are not read in their order."""
  paths = pathlib.Path(workdir, 'tensorboard').iterdir()
  for i, path in enumerate(sorted(paths, key=lambda p: p.stat().st_mtime_ns)):
    path.rename(path.with_name(f'events.out.tfevents.{i:04d}.host.1.v2'))


def points(workdir, tag):
  """Returns the (step, tensor) of a tag as TensorBoard itself reads them."""
  number_events(workdir)
  accumulator = plugin_event_accumulator.EventAccumulator(
      str(pathlib.Path(workdir, 'tensorboard')))
  accumulator.Reload()
  return [(e.step, tf.make_ndarray(e.tensor_proto)) for e in (
      accumulator.Tensors(tag) if tag in accumulator.Tags()['tensors'] else [])]


def strategy_of(num_replicas):
  """Returns the strategy of one replica, or of two."""
  return tf.distribute.OneDeviceStrategy('/cpu:0') if num_replicas == 1 else (
      replicas.two_replicas())


def on_replicas(strategy, fn):
  """Returns a graph of `fn(batch, step)`, as a function of `x` and a number.

  Of two replicas each has one half of `x`. Results are lists, one per replica.
  """

  @tf.function(autograph=False)
  def run(x, step):
    parts = x if strategy.num_replicas_in_sync == 1 else (
        replicas.per_replica(*tf.split(x, 2)))
    return tf.nest.map_structure(
        strategy.experimental_local_results,
        strategy.run(fn, args=(models.Batch(parts), step)))

  return lambda x, step: run(x, tf.constant(step, tf.int64))
