"""The batches of a run, as its replicas take them."""

from typing import NamedTuple

import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import datasets


class Batch(NamedTuple):
  """What an objective is computed of.

  Attributes:
    x: `[B, ...]`, events: images dequantised to [0, 1), or vectors.
    labels: int32 `[B]`; None where there are none.
  """

  x: tf.Tensor
  labels: tf.Tensor | None = None


def distributed_batches(
    config: configuration.Config, split: datasets.ImageSplit,
    strategy: tf.distribute.Strategy, start_step: int
) -> tf.distribute.DistributedDataset:
  """Returns the endless `Batch`es of a run, shared by the replicas.

  What step `t` gets follows from (seed, t) alone. With `accumulation_steps`
  parts, part `i` of the global batch is the union of the replicas' parts `i`,
  so that it does not depend on their number.

  Args:
    config: of the run.
    split: the training data.
    strategy: of the run.
    start_step: number of steps that are finished.
  """
  num_parts = config.optimizer.accumulation_steps
  num_replicas = strategy.num_replicas_in_sync

  def interleave(tensor):
    if num_parts == 1 or num_replicas == 1:
      return tensor
    shape = tensor.shape
    tensor = tf.reshape(tensor, [num_parts, num_replicas, -1, *shape[1:]])
    return tf.reshape(
        tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)]), shape)

  dataset = datasets.training_batches(
      split, batch_size=config.optimizer.batch_size * num_parts,
      seed=config.run.seed, start_step=start_step, flip=config.data.flip)
  dataset = dataset.map(lambda batch: Batch(
      interleave(batch['image']), interleave(batch['label'])))
  return strategy.experimental_distribute_dataset(dataset.prefetch(2))
