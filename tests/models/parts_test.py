"""Any number of rows is taken in parts, with the results of one."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow.models import parts
from tf_resflow.numerics import random


@pytest.fixture(name='flow')
def _flow(monkeypatch):
  """A flow of labels whose parts have eight rows."""
  monkeypatch.setattr(parts, '_NUM_NUMBERS', 16)
  monkeypatch.setattr(parts, '_MIN_ROWS', 1)
  flow = models.VectorFlowConfig(
      event_size=2, num_blocks=1, condition_labels=3, condition_at=('base',),
      schema={'columns': [{'name': 'a'}, {'name': 'b'}]}).build()
  flow.initialize(_rows(50), np.zeros(50, int))
  return flow


def _rows(count):
  return np.random.default_rng(0).normal(size=[count, 2]).astype('f4')


def _sizes(flow, monkeypatch):
  """Returns a list that gets the numbers of rows of passes."""
  sizes, original = [], type(flow)._settings
  monkeypatch.setattr(type(flow), '_settings', lambda self, c, *args: (
      sizes.append(len(np.ravel(c))), original(self, c, *args))[1])
  return sizes


@pytest.mark.parametrize('labels', [np.arange(20) % 3, [1]], ids=str)
def test_parts_give_what_all_rows_give(flow, labels, monkeypatch):
  x = _rows(20)
  sizes = _sizes(flow, monkeypatch)
  found = [flow.log_prob(x, labels), flow.encode(x, labels),
           flow.sample(20, labels, seed=3), flow.inverse(x, labels)]
  assert max(sizes) == max(1, min(len(labels), 8))
  np.testing.assert_array_equal(
      flow.score_samples(pd.DataFrame(x, columns=['a', 'b']), labels), found[0])
  frame = flow.sample_frame(20, labels, seed=3)
  np.testing.assert_array_equal(frame[['a', 'b']], found[2])
  monkeypatch.setattr(parts, '_NUM_NUMBERS', 40)
  whole = [flow.log_prob(x, labels), flow.encode(x, labels),
           flow.sample(20, labels, seed=3), flow.inverse(x, labels)]
  for one, other in zip(found, whole, strict=True):
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize('count', [21, 9])
def test_conditions_are_as_many_as_rows(flow, count):
  """Not as many as those of a part, of which one could be left."""
  for call in (lambda c: flow.log_prob(_rows(20), c),
               lambda c: flow.sample(20, c, seed=3)):
    with pytest.raises(
        errors.InvalidValueError, match=f'a batch of {count}: .*one of 20'):
      call(np.arange(count) % 3)


def test_draws_of_parts_differ_unless_they_are_numbered(flow):
  def draw(x, condition, seed):
    del condition
    return random.normal(tf.shape(x), seed)

  x, numbered = _rows(20), random.numbered(5, tf.range(20))
  noise, by_number = (np.concatenate([
      draw(*inputs) for inputs in parts.split(flow, x, [0], seed)])
                      for seed in (5, numbered))
  assert len(np.unique(noise)) == 40
  np.testing.assert_array_equal(by_number, draw(x, None, numbered))


def test_graphs_and_first_batches_are_whole(flow):
  """What initialises a flow is all that it is given."""
  x = _rows(20)
  np.testing.assert_allclose(
      tf.function(flow.log_prob)(x, [1]), flow.log_prob(x, [1]), atol=1e-5)
  first = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
  first.initialize(3.0 + x)
  assert not np.abs(np.mean(first.encode(3.0 + x), axis=0)).max() > 0.5
  with tf.GradientTape() as tape:
    value = tf.reduce_sum(first.log_prob(x))
  assert all(gradient is not None for gradient in tape.gradient(
      value, first.trainable_variables))
