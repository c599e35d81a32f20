"""Replicas share every part of a batch that is accumulated."""

import numpy as np

from tests import replicas
from tests.training import runs
from tf_resflow import datasets
from tf_resflow import training
from tf_resflow.training import batches


def _batch(config, strategy):
  split = datasets.load_split(config.data, 'train')
  return next(iter(
      batches.distributed_batches(config, split, strategy, start_step=0)))


def test_parts_are_unions_of_the_replicas_parts(data_dir):
  config = runs.config(
      data_dir, batch_size=6, accumulation_steps=3, condition=('label',))
  one = _batch(config, training.make_strategy('single'))
  assert one.x.shape == (18, 8, 8, 1) and one.labels.shape == (18,)
  two = _batch(config, replicas.two_replicas())
  for expected, values in zip(one, two, strict=True):
    parts = np.split(expected.numpy(), 3)
    halves = [np.split(v, 3) for v in replicas.local_values(values)]
    for i, part in enumerate(parts):
      np.testing.assert_array_equal(
          part, np.concatenate([half[i] for half in halves]))
  np.testing.assert_array_equal(one.condition, one.labels)
  plain = config.replace(condition=())
  assert _batch(plain, training.make_strategy('single')).condition is None
