"""Distribution strategies: devices and processes to train on, their batches."""

from collections.abc import Iterator
import contextlib
import functools
import os
import re
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import private_apis
from tf_resflow.models import objectives
from tf_resflow.specs import registries
from tf_resflow.training import clusters
from tf_resflow.training import signals

Options: TypeAlias = clusters.ClusterOptions | None

# Seconds after which a process that hangs is lost.
_SECONDS_TO_ANSWER = 20.0


def _devices(options):
  """Returns the logical GPUs, or the CPUs, of a process without others."""
  if options:
    options.check_alone()
  return (tf.config.list_logical_devices('GPU') or
          tf.config.list_logical_devices('CPU'))


def single(options: Options = None) -> tf.distribute.Strategy:
  """Returns a strategy for one device."""
  return tf.distribute.OneDeviceStrategy(_devices(options)[0].name)


def mirrored(options: Options = None) -> tf.distribute.Strategy:
  """Returns a strategy for all GPUs, or all CPUs if there are none."""
  return tf.distribute.MirroredStrategy([d.name for d in _devices(options)])


def auto(options: Options = None) -> tf.distribute.Strategy:
  """Returns `mirrored()` if there are several GPUs, else `single()`.

  With `options` it joins the processes that TF_CONFIG names, if there are.
  """
  if options:
    options.check_alone()
    if cluster := clusters.find_named(os.environ):
      return _joined(cluster, options.timeout)
  several = len(tf.config.list_logical_devices('GPU')) > 1
  return mirrored() if several else single()


def multi_worker(options: Options = None) -> tf.distribute.Strategy:
  """Returns a strategy for all GPUs of all processes; see `clusters.find`.

  It waits until all have joined. Nothing may have run in TensorFlow before.
  """
  options = options or clusters.ClusterOptions()
  return _joined(clusters.find(os.environ, options), options.timeout)


def _joined(cluster, timeout):
  """Returns the strategy of a cluster."""
  num_gpus = len(tf.config.list_physical_devices('GPU'))
  clusters.rendezvous(cluster, timeout, num_gpus)
  resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
      tf.train.ClusterSpec({'worker': list(cluster.workers)}),
      task_type='worker', task_id=cluster.rank, rpc_layer='grpc',
      num_accelerators={'GPU': num_gpus})
  private_apis.notice_lost_peers(len(cluster.workers), _SECONDS_TO_ANSWER)
  strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
  gather(strategy, 0)
  return strategy


def num_workers(strategy: tf.distribute.Strategy) -> int:
  """Returns the number of processes of a strategy."""
  resolver = strategy.cluster_resolver
  return 1 if resolver is None else max(1, sum(map(
      resolver.cluster_spec().num_tasks, resolver.cluster_spec().jobs)))


def is_chief(strategy: tf.distribute.Strategy) -> bool:
  """Returns whether this process writes the files of the run."""
  return num_workers(strategy) == 1 or not strategy.cluster_resolver.task_id


def gather(strategy: tf.distribute.Strategy, value: Any) -> list[Any]:
  """Returns what the processes call this with, the chief's first.

  These are integers, or arrays of one shape. It waits for all of them.
  """
  count = num_workers(strategy)
  if count == 1:
    return [value]
  with naming_lost_peers(strategy):
    found = _gathering(strategy)(tf.constant(np.array([value]))).numpy()
  return [*found[::strategy.num_replicas_in_sync // count]]


@functools.cache
def _gathering(strategy):
  """Returns a graph that gathers the values `[1, ...]` of all replicas."""
  return tf.function(
      lambda value: strategy.gather(
          strategy.experimental_distribute_values_from_function(
              lambda context: value), axis=0), autograph=False)


@contextlib.contextmanager
def naming_lost_peers(strategy: tf.distribute.Strategy) -> Iterator[None]:
  """Converts the errors of a process that has lost another one.

  Raises:
    clusters.PeerLostError: in place of them.
  """
  try:
    yield
  except (tf.errors.UnavailableError, tf.errors.AbortedError,
          tf.errors.DeadlineExceededError) as error:
    if num_workers(strategy) == 1:
      raise
    addresses = strategy.cluster_resolver.cluster_spec().task_address
    lost = sorted({int(task) for task in re.findall(r'/task:(\d+)', str(error))}
                  - {strategy.cluster_resolver.task_id})
    which = ' or '.join(
        f'process {task} ({addresses("worker", task)})' for task in lost)
    raise clusters.PeerLostError(
        f'{which or "another process"} has ended or does not answer. Nothing '
        'was written since; start all processes again to continue from the '
        'latest checkpoint.') from error


def make_strategy(
    name: str, options: Options = None) -> tf.distribute.Strategy:
  """Returns a strategy by its name, one of `registries.STRATEGIES`.

  `options` are for a program that may train together with other processes.
  """
  strategy = registries.STRATEGIES.get(name)(options)
  if signals.active:
    signals.active.install()  # One for several workers takes SIGTERM.
  return strategy


def distributed_batches(config: configuration.Config, split: datasets.Split,
                        strategy: tf.distribute.Strategy,
                        start_step: int) -> tf.distribute.DistributedDataset:
  """Returns an endless distributed dataset of `objectives.Batch`es.

  The batch of step `t` depends only on (seed, t); the first is that after
  `start_step` finished ones. With `accumulation_steps` parts, part `i` of the
  global batch is the union of the replicas' parts `i`, so that it does not
  depend on their number.
  """
  num_parts = config.optimizer.accumulation_steps
  count = num_workers(strategy)
  num_local = strategy.num_replicas_in_sync // count
  size = config.optimizer.batch_size // strategy.num_replicas_in_sync
  has_labels = config.open_data().num_classes > 0

  def by_replica(examples):
    """Returns `[replica, rows, ...]` of tensors `[part, row, ...]`."""
    return {name: tf.reshape(
        tf.stack(tf.split(value, num_local, axis=1)),
        [num_local, num_parts * size, *value.shape[2:]])
            for name, value in examples.items()}

  def of_worker(context):
    """Returns the batches of the replicas of a process, one after another."""
    dataset = datasets.training_batches(
        split, batch_size=config.optimizer.batch_size,
        seed=config.run.seed, start_step=start_step * num_parts,
        flip=config.data.flip, crop_padding=config.data.crop_padding,
        crop_mode=config.data.crop_mode,
        share=(context.input_pipeline_id, count))
    if num_parts > 1 or num_local > 1:
      dataset = dataset.batch(num_parts, drop_remainder=True).map(
          tf.autograph.experimental.do_not_convert(by_replica)).unbatch()
    return dataset.map(tf.autograph.experimental.do_not_convert(
        lambda examples: objectives.Batch(
            examples['x'], examples['label'] if has_labels else None,
            examples.get('condition'), examples.get('weight')))).prefetch(2)

  return strategy.distribute_datasets_from_function(of_worker)
