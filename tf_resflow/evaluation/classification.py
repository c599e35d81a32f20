"""Accuracy of a hybrid model's classifier."""

import numpy as np
import tensorflow as tf

from tf_resflow import datasets


def accuracy(model, split, batch_size=128, num_examples=None, seed=0):
  """Returns the share of images whose label has the largest logit.

  Args:
    model: a `models.ResidualFlow` with a classifier.
    split: a `datasets.ImageSplit` with labels.
    batch_size: examples per batch.
    num_examples: use the first this many examples only.
    seed: of the dequantisation noise.

  Returns:
    A float in [0, 1].
  """
  classify = tf.function(
      model.classify, autograph=False, reduce_retracing=True)
  hits = []
  for batch in datasets.evaluation_batches(
      split, batch_size=batch_size, seed=seed, num_examples=num_examples):
    predicted = np.argmax(classify(batch['image']), axis=1)
    hits.append(predicted == batch['label'].numpy())
  return float(np.mean(np.concatenate(hits)))
