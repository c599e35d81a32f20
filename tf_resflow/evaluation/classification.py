"""What the classifier of a hybrid model says of images."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import typing as npt
from scipy import special
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import statistics
from tf_resflow.numerics import random


def log_probs_of_logits(logits: npt.ArrayLike) -> np.ndarray:
  """Returns `log p(y|x)` of logits `[..., K]` in nats, float64."""
  return special.log_softmax(np.asarray(logits, np.float64), axis=-1)


class Classification:
  """How well a flow classifies; one graph for all calls, without a series.

  Args:
    model: a flow with a classifier.
    strategy: see `likelihood.NegativeLogLikelihood`.

  Raises:
    InvalidValueError: when it is called, if the model has no classifier.
  """

  def __init__(
      self, model: models.Flow,
      strategy: tf.distribute.Strategy | None = None):
    self._classify = batch_map.BatchMap(
        lambda batch_seed, *given: model.classify(
            *given, seed=random.whole_batch(batch_seed)), strategy, shared=[0])

  def log_probs(self, batches: Iterable[Any], seed: int = 0) -> np.ndarray:
    """Returns the log-probability of every class, in nats.

    Args:
      batches: images `[B, ...]` in [0, 1), or what `batch_map.inputs_of` takes.
      seed: of an embedding that draws.

    Returns:
      `log p(y|x)`: float64 `[N, K]`.
    """
    return log_probs_of_logits(np.concatenate(list(self._classify(
        (random.fold_in(seed, i).values, *batch_map.inputs_of(batch))
        for i, batch in enumerate(batches)))))

  def __call__(
      self, split: datasets.Split, batch_size: int = 128,
      num_examples: int | None = None, seed: int = 0,
  ) -> dict[str, statistics.MeanAndStderr]:
    """Returns how well the images of a split are classified.

    Args:
      split: images with labels.
      batch_size: examples per batch.
      num_examples: use the first this many examples only.
      seed: of the dequantisation noise, and of an embedding's.

    Returns:
      `accuracy`: the share of images whose label has the largest logit, in
      [0, 1]. Its standard error is the binomial one,
      `sqrt(p (1 - p) / (N - 1))`, which says nothing where all or none are
      right: it is 0 then.
      `cross_entropy`: the mean of `-log p(y|x)`, nats.
    """
    labels = []

    def batches():
      for batch in datasets.evaluation_batches(
          split, batch_size=batch_size, seed=seed, num_examples=num_examples):
        labels.append(batch['label'])
        yield batch

    log_probs = self.log_probs(batches(), seed)
    label = np.concatenate(labels)
    return {
        'accuracy': statistics.mean_and_stderr(
            log_probs.argmax(axis=1) == label),
        'cross_entropy': statistics.mean_and_stderr(
            -log_probs[np.arange(len(label)), label])}
