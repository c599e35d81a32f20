"""Replicas share every part of a batch that is accumulated."""

import numpy as np

from tests import replicas
from tests.training import runs
from tf_resflow import datasets
from tf_resflow import training
from tf_resflow.training import batches


def _batch(config, strategy, start_step=0):
  split = datasets.load_split(config.data, 'train')
  dataset = batches.distributed_batches(config, split, strategy, start_step)
  return next(iter(dataset))


def test_parts_are_unions_of_the_replicas_parts(data_dir):
  config = runs.config(data_dir, batch_size=6, accumulation_steps=3)
  one = _batch(config, training.make_strategy('single'))
  assert one.x.shape == (18, 8, 8, 1) and one.labels.shape == (18,)
  two = _batch(config, replicas.two_replicas())
  for expected, values in zip(one, two, strict=True):
    parts = np.split(expected.numpy(), 3)
    halves = [np.split(v, 3) for v in replicas.local_values(values)]
    for i, part in enumerate(parts):
      np.testing.assert_array_equal(
          part, np.concatenate([half[i] for half in halves]))


def test_a_stream_is_entered_anywhere(data_dir):
  config = runs.config(data_dir)
  strategy = training.make_strategy('single')
  split = datasets.load_split(config.data, 'train')
  iterator = iter(batches.distributed_batches(config, split, strategy, 0))
  third = [next(iterator) for _ in range(3)][-1]
  np.testing.assert_array_equal(third.x, _batch(config, strategy, 2).x)
