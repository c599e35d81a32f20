"""Augmentations: what is drawn, from which seed, and the way back."""

import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tests import replicas


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', cases.AUGMENTATIONS)
def test_data_come_back(name, dtype):
  case = cases.AUGMENTATIONS[name]
  augmentation, x = case.make(dtype), case.inputs(dtype)
  y, log_weight = augmentation.augment(x, seed=1)
  np.testing.assert_array_equal(augmentation.project(y), x)
  assert y.shape == augmentation.compute_output_shape(x.shape)
  assert y.dtype == log_weight.dtype == dtype and log_weight.shape == [4]


@pytest.mark.parametrize('name', cases.AUGMENTATIONS)
def test_draws_follow_the_seed(name):
  case = cases.AUGMENTATIONS[name]
  augmentation, x = case.make(), case.inputs()
  first, again, other, *fresh = [
      augmentation.augment(x, seed=seed).y.numpy()
      for seed in (1, 1, 2, None, None)]
  np.testing.assert_array_equal(first, again)
  for a, b in ((first, other), fresh):
    assert np.array_equal(a, b) != augmentation.is_random


@pytest.mark.parametrize('name', cases.AUGMENTATIONS)
def test_draws_depend_on_the_place_alone(name):
  """Draws do not depend on the other examples, or their number."""
  case = cases.AUGMENTATIONS[name]
  augmentation, x = case.make(), case.inputs()
  whole = augmentation.augment(x, seed=1)
  for size in (1, 3):
    mixed = tf.concat([x[:size], 1.0 + x[size:]], axis=0)
    for part in (augmentation.augment(x[:size], seed=1),
                 augmentation.augment(mixed, seed=1)):
      # Batches of another size round otherwise.
      for found, expected in zip(part, whole, strict=True):
        np.testing.assert_allclose(
            found[:size], expected[:size], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', cases.AUGMENTATIONS)
def test_replicas_share_the_draw_of_the_global_batch(name):
  case = cases.AUGMENTATIONS[name]
  augmentation, x = case.make(), case.inputs()
  strategy = replicas.two_replicas()
  whole = augmentation.augment(x, seed=1)  # May initialise its layers.
  results = tf.function(
      lambda x: strategy.run(
          lambda x: augmentation.augment(x, seed=1), args=(x,)),
                  autograph=False)(
              replicas.per_replica(*tf.split(x, 2)))
  for found, expected in zip(results, whole, strict=True):
    np.testing.assert_allclose(
        tf.concat(strategy.experimental_local_results(found), axis=0),
        expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', cases.AUGMENTATIONS)
def test_xla_for_an_unknown_batch_size(name):
  """XLA draws other numbers, and rounds otherwise."""
  case = cases.AUGMENTATIONS[name]
  augmentation, x = case.make(), case.inputs()

  def augment(x):
    y, log_weight = augmentation.augment(x, seed=1)
    return y, log_weight, augmentation.project(y)

  y, log_weight, back = tf.function(
      augment, autograph=False, jit_compile=True, input_signature=[
          tf.TensorSpec([None, *case.event_shape])])(x)
  np.testing.assert_allclose(back, x, rtol=1e-6)
  assert y.shape == augmentation.compute_output_shape(x.shape)
  assert np.all(np.isfinite(y)) and np.all(np.isfinite(log_weight))
