"""Accuracy of a hybrid model's classifier."""

import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.evaluation import batch_map


def accuracy(
    model: models.Flow, split: datasets.ImageSplit, batch_size: int = 128,
    num_examples: int | None = None, seed: int = 0,
    strategy: tf.distribute.Strategy | None = None) -> float:
  """Returns the share of images whose label has the largest logit, in [0, 1].

  Args:
    model: a flow with a classifier.
    split: images with labels.
    batch_size: examples per batch.
    num_examples: use the first this many examples only.
    seed: of the dequantisation noise.
    strategy: see `likelihood.bits_per_dim`.
  """
  labels = []

  def images():
    for batch in datasets.evaluation_batches(
        split, batch_size=batch_size, seed=seed, num_examples=num_examples):
      labels.append(batch['label'].numpy())
      yield (batch['image'],)

  classify = batch_map.make_batch_map(model.classify, strategy)
  predicted = [np.argmax(logits, axis=1) for logits in classify(images())]
  return float(np.mean(np.concatenate(predicted) == np.concatenate(labels)))
