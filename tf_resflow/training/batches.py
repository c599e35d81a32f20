"""Batches of a run, distributed over its replicas."""

import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow.training import objectives
from tf_resflow.training import strategies


def distributed_batches(config: configuration.Config, split: datasets.Split,
                        strategy: tf.distribute.Strategy,
                        start_step: int) -> tf.distribute.DistributedDataset:
  """Returns an endless distributed dataset of `objectives.Batch`es.

  The batch of step `t` depends only on (seed, t). With `accumulation_steps`
  parts, part `i` of the global batch is the union of the replicas' parts `i`,
  so that it does not depend on their number.

  Args:
    config: configuration of the run.
    split: the training data.
    strategy: distribution strategy of the run.
    start_step: number of finished steps.
  """
  num_parts = config.optimizer.accumulation_steps
  num_workers = strategies.num_workers(strategy)
  num_local = strategy.num_replicas_in_sync // num_workers
  size = config.optimizer.batch_size // strategy.num_replicas_in_sync
  names = ['x', 'label', *['condition'] * split.is_conditional]

  def by_replica(examples):
    """Returns `[replica, rows, ...]` of tensors `[part, row, ...]`."""
    return {name: tf.reshape(
        tf.transpose(
            tf.reshape(value, [num_parts, num_local, size, *value.shape[2:]]),
            [1, 0, *range(2, value.shape.rank + 1)]),
        [num_local, num_parts * size, *value.shape[2:]])
            for name, value in examples.items()}

  def of_worker(context):
    """Returns the batches of the replicas of a process, one after another."""
    dataset = datasets.training_batches(
        split, batch_size=config.optimizer.batch_size,
        seed=config.run.seed, start_step=start_step * num_parts,
        flip=config.data.flip, crop_padding=config.data.crop_padding,
        crop_mode=config.data.crop_mode,
        share=(context.input_pipeline_id, num_workers))
    if num_parts > 1 or num_local > 1:
      dataset = dataset.batch(num_parts, drop_remainder=True).map(
          tf.autograph.experimental.do_not_convert(by_replica)).unbatch()
    return dataset.map(tf.autograph.experimental.do_not_convert(
        lambda examples: objectives.Batch(
            *(examples[name] for name in names)))).prefetch(2)

  return strategy.distribute_datasets_from_function(of_worker)
