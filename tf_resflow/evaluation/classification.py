"""Accuracy of a hybrid model's classifier."""

import numpy as np

from tf_resflow import datasets
from tf_resflow.evaluation import batch_map


def accuracy(model, split, batch_size=128, num_examples=None, seed=0,
             strategy=None):
  """Returns the share of images whose label has the largest logit.

  Args:
    model: a `models.ResidualFlow` with a classifier.
    split: a `datasets.ImageSplit` with labels.
    batch_size: examples per batch.
    num_examples: use the first this many examples only.
    seed: of the dequantisation noise.
    strategy: see `likelihood.bits_per_dim`.

  Returns:
    A float in [0, 1].
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
