"""Models in folders of runs: what is loaded is what was trained or stored."""

import os

import numpy as np
import pytest
import tensorflow as tf

from tests.training import runs
from tf_resflow import errors
from tf_resflow import training
from tf_resflow.training import workdir as workdir_lib


def test_load_model(finished_run):
  workdir, trainer = finished_run
  images = tf.constant(
      np.random.default_rng(0).random([4, 8, 8, 1]), tf.float32)

  def bits(model):
    return model.bits_per_dim(images, seed=0).numpy()

  raw, step = training.load_model(workdir, averaged=False)
  averaged, _ = training.load_model(workdir)
  assert step == 4
  # The trainer initialised ActNorm, the loaded models must not do it again.
  np.testing.assert_array_equal(bits(raw), bits(trainer.model))
  for variable, average in zip(
      averaged.trainable_variables, trainer.ema.averages, strict=True):
    np.testing.assert_array_equal(variable.value, average)
  with trainer.ema.swapped():
    np.testing.assert_allclose(bits(averaged), bits(trainer.model), rtol=1e-5)
  assert np.max(np.abs(bits(averaged) - bits(raw))) > 1e-4

  wide, _ = training.load_model(workdir, dtype='float64')
  assert wide.compute_dtype == 'float64'
  assert {v.dtype for v in wide.trainable_variables} == {'float64'}
  for a, b in zip(wide.trainable_variables, averaged.trainable_variables,
                  strict=True):
    np.testing.assert_array_equal(a.value, b.value)
  z, _ = wide.forward_and_log_det(
      tf.cast(images, tf.float64), seed=0)
  expected, _ = averaged.forward_and_log_det(images, seed=0)
  np.testing.assert_allclose(z, expected, rtol=1e-3, atol=1e-4)


def test_a_stored_model_is_loaded_and_trained(tmp_path, data_dir):
  config = runs.config(data_dir, num_steps=1)
  model = config.model.build()
  model.initialize(tf.constant(
      np.random.default_rng(0).random([4, 8, 8, 1]), tf.float32))
  workdir = str(tmp_path / 'run')
  training.create_workdir(workdir, config, model, {'origin.txt': 'here'})
  assert sorted(os.listdir(workdir)) == [
      'checkpoints', 'model.json', 'origin.txt', 'run.flags']
  for averaged in (False, True):
    loaded, step = training.load_model(workdir, averaged)
    assert step == 0
    for a, b in zip(loaded.trainable_variables, model.trainable_variables,
                    strict=True):
      np.testing.assert_array_equal(a.value, b.value)
  with pytest.raises(errors.InvalidValueError, match='expected weights of th'):
    training.train(config.replace(hidden_channels=5), workdir)
  # Weights that were not trained there may be trained in any way.
  other = config.replace(batch_size=16, learning_rate=0.5)
  assert training.train(other, workdir).step == 1


def test_a_model_of_another_configuration_is_refused(tmp_path):
  model = runs.config(hidden_channels=5).model.build()
  with pytest.raises(errors.InvalidValueError, match='^model=residual_flow'):
    training.create_workdir(str(tmp_path / 'run'), runs.config(), model)
  assert not list(tmp_path.iterdir())


def test_missing_parts(tmp_path):
  workdir_lib.prepare(str(tmp_path), runs.config())
  with pytest.raises(
      errors.InvalidValueError, match='Train until the first one'):
    training.load_model(str(tmp_path))
  for text in ('{', '{"no_such_field": 1}', '{"num_levels": 0}'):
    (tmp_path / 'model.json').write_text(text)
    with pytest.raises(ValueError, match='model.json: expected a model of'):
      training.load_model(str(tmp_path))
