"""Small flows p(x|c), and splits with conditions."""

import numpy as np
import tensorflow as tf

from tests import flows
from tests import schemas
from tests import splits
from tf_resflow import models

NUM_LABELS = 3


def make_labelled_flow(
    dtype='float32', num_levels=16, is_grown=True, **changes):
  """Returns an initialised flow of 4 x 4 images, given one of three labels.

  One that is not grown ignores its condition.
  """
  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=num_levels, num_blocks=(1,),
      hidden_channels=4, kernel_sizes=(3, 3), num_dense_blocks=0,
      condition_labels=NUM_LABELS, condition_features=4, **changes
  ).build(dtype)
  if is_grown:
    flows.disturb(model, 0.5)
  model.initialize(
      tf.random.stateless_uniform([9, 4, 4, 1], [0, 1], dtype=dtype),
      condition=np.arange(9) % NUM_LABELS)
  return model


def make_vector_flow(
    dtype='float64', names=('a', 'b'), columns=('x', 'y'), **changes):
  """Returns an initialised flow of vectors, given two numbers with names."""
  model = models.VectorFlowConfig(
      event_size=2, num_blocks=2, hidden_units=(8,), condition_size=2,
      schema=schemas.make_schema(
          *columns, types=('real', 'real'), conditions=names,
          condition_mean=(1.0, -3.0), condition_std=(0.5, 2.0)),
      condition_features=4,
      condition_hidden_units=(5,), **changes).build(dtype)
  x, condition = make_vectors(8)
  flows.disturb(model, 0.3)
  model.initialize(tf.constant(x, dtype), condition=condition)
  return model


def make_vectors(num_examples):
  """Returns vectors `[N, 2]`, and their conditions `[N, 2]`."""
  rng = np.random.default_rng(1)
  return rng.normal(size=[num_examples, 2]), rng.normal(
      [1.0, -3.0], [0.5, 2.0], [num_examples, 2])


def make_labelled_split(num_examples=11, num_levels=16, labels=None):
  """Returns images `[4, 4, 1]` of noise, whose labels are conditions."""
  images = np.random.default_rng(0).integers(
      0, num_levels, [num_examples, 4, 4, 1]).astype(np.uint8)
  labels = np.arange(num_examples) % NUM_LABELS if labels is None else labels
  labels = np.asarray(labels, np.int32)
  return splits.with_conditions(
      splits.make_split(images, num_levels, labels), labels, NUM_LABELS)
