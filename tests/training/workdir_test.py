"""Folders that a run accepts; loaded is what was trained or stored."""

import functools
import os

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tests import splits
from tests import testing
from tests.training import runs
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.models import objectives
from tf_resflow.training import checkpoints
from tf_resflow.training import train_rows
from tf_resflow.training import workdir as workdir_lib

_CONFIG = runs.config()


def test_settings_make_a_run(tmp_path):
  workdir = str(tmp_path / 'a' / 'b')
  workdir_lib.check(workdir, _CONFIG)
  assert not os.path.exists(workdir)
  workdir_lib.write_settings(workdir, _CONFIG)
  assert sorted(os.listdir(workdir)) == ['model.json', 'run.flags']
  assert training.load_config(workdir) == _CONFIG
  # What a run may change replaces the old value.
  longer = _CONFIG.replace(num_steps=9)
  workdir_lib.write_settings(workdir, longer)
  assert training.load_config(workdir) == longer


def test_settings_know_the_training_rows(tmp_path, monkeypatch):
  """Of the data that it is trained on, from then on."""
  path = tmp_path / 'run' / 'train_rows.npy'
  for i, is_trained in enumerate((False, False, True, True)):
    monkeypatch.setattr(
        workdir_lib.checkpoints, 'latest', lambda workdir, i=i: f'{i}')
    monkeypatch.setattr(
        workdir_lib.checkpoints, 'has_optimizer',
        lambda path, is_trained=is_trained: is_trained)
    rows = np.full([3, 2], i, np.float32)
    workdir_lib.write_settings(
        str(path.parent), _CONFIG, datasets.Split.of_arrays({'x': rows}))
    np.testing.assert_array_equal(
        np.load(path), train_rows.row_hashes(np.full([1, 2], min(i, 1))))
    if i == 2:
      path.unlink()
      workdir_lib.write_settings(
          str(path.parent), _CONFIG, datasets.Split.of_arrays({'x': rows - 1}))


def test_settings_replace_what_a_killed_start_left(tmp_path):
  (tmp_path / 'model.json').write_text('{}')
  (tmp_path / 'run.flags.0123abcd.tmp').write_text('--seed')
  workdir_lib.check(str(tmp_path), _CONFIG)
  workdir_lib.write_settings(str(tmp_path), _CONFIG)
  assert training.load_config(str(tmp_path)) == _CONFIG


def test_paths_that_tensorflow_cannot_read_are_refused(tmp_path):
  model = _CONFIG.model.build()
  for character in '[]*?\\':
    workdir = f'{tmp_path}/a{character}b/run'
    for start, *arguments in (
        (training.train, _CONFIG, workdir),
        (workdir_lib.create_workdir, workdir, _CONFIG, model),
        (training.load_config, workdir), (workdir_lib.restore_model, workdir)):
      assert 'expected a path without any of' in splits.refusal(
          start, *arguments)
  assert not list(tmp_path.iterdir())


def test_foreign_folders_and_files_are_refused(tmp_path):
  workdir_lib.check_is_new(str(tmp_path))
  workdir_lib.check_is_new(str(tmp_path / 'new'))
  path = tmp_path / 'thesis.tex'
  path.write_text('important')
  before = runs.contents(tmp_path)
  for start in (
      functools.partial(training.train, _CONFIG), workdir_lib.check_is_new):
    testing.check_refusals(start, [
        (str(tmp_path), '...expected a new or empty folder'),
        (str(path), '...expected a folder. It is a file')])
  assert runs.contents(tmp_path) == before


def test_run_of_another_configuration_is_refused(copied_run, data_dir):
  before = runs.contents(copied_run)
  assert 'metrics.csv' in before
  message = splits.refusal(
      training.train, runs.config(data_dir, seed=1, hidden_channels=5),
      str(copied_run))
  assert '--hidden_channels was 4 and is 5' in message
  assert '--seed was 0 and is 1' in message
  assert runs.contents(copied_run) == before


@pytest.mark.reliability(promise='lost-data')
def test_a_run_opens_without_its_data(tmp_path):
  """Those that a program handed over come back the same way."""
  rows = np.random.default_rng(0).normal(size=[40, 2])
  workdir = str(tmp_path / 'run')
  people = datasets.table(pd.DataFrame(rows, columns=['a', 'b']), 'people')
  config = configuration.make_config(dataset=people, num_blocks=1)
  with pytest.raises(errors.InvalidValueError, match='tf_resflow.fit'):
    training.train(config, workdir)
  model = config.model.build()
  model.initialize(tf.constant(rows, tf.float32))
  workdir_lib.create_workdir(workdir, config, model)
  loaded = training.load_config(workdir)
  assert loaded == config and loaded.info is None
  assert loaded.replace(num_steps=7).data == config.data
  np.testing.assert_allclose(
      workdir_lib.restore_model(workdir)[0].log_prob(rows), model.log_prob(
          rows, estimator='exact'), rtol=1e-4)
  said = ('dataset=people: expected one of digits, ...Hand data of your own '
          'over in Python, make_config(dataset=datasets.table(FRAME)), or')
  testing.check_refusals(lambda call: call(), [
      (loaded.open_data, said), (lambda: loaded.open_split('test'), said),
      (lambda: config.replace(num_validation=3), said),
      (lambda: configuration.make_config(dataset='people'), said)])
  assert loaded.replace(dataset=people) == config


def test_restore_model(finished_run):
  workdir, trainer = finished_run
  images = tf.constant(
      np.random.default_rng(0).random([4, 8, 8, 1]), tf.float32)

  def bits(model):
    return model.bits_per_dim(images, seed=0, estimator='training').numpy()

  raw, step = workdir_lib.restore_model(workdir, averaged=False)
  averaged, _ = workdir_lib.restore_model(workdir)
  assert step == 4
  # The trainer initialised ActNorm, the loaded models must not do it again.
  np.testing.assert_array_equal(bits(raw), bits(trainer.model))
  for variable, average in zip(
      averaged.trainable_variables, trainer.ema.averages, strict=True):
    np.testing.assert_array_equal(variable.value, average)
  with trainer.ema.swapped():
    np.testing.assert_allclose(bits(averaged), bits(trainer.model), rtol=1e-5)
  assert np.max(np.abs(bits(averaged) - bits(raw))) > 1e-4

  wide, _ = workdir_lib.restore_model(workdir, dtype='float64')
  assert wide.compute_dtype == 'float64'
  assert {v.dtype for v in wide.trainable_variables} == {'float64'}
  for a, b in zip(wide.trainable_variables, averaged.trainable_variables,
                  strict=True):
    np.testing.assert_array_equal(a.value, b.value)
  z, _ = wide.forward_and_log_det(tf.cast(images, tf.float64), seed=0)
  expected, _ = averaged.forward_and_log_det(images, seed=0)
  np.testing.assert_allclose(z, expected, rtol=1e-3, atol=1e-4)


def test_finished(copied_run, data_dir, monkeypatch):
  """Neither data nor a model are needed; damaged checkpoints do not count."""
  monkeypatch.setattr(configuration.Config, 'open_data', None)
  workdir, config = str(copied_run), runs.config(data_dir)
  monkeypatch.setattr(type(config.model), 'build', None)
  assert workdir_lib.finished(workdir, config) == (
      'The run has already finished 4 of 4 steps. To continue it, raise '
      '--num_steps.')
  assert workdir_lib.finished(workdir, config.replace(schedule='cosine')) == (
      'The run has already finished 4 of 4 steps.')
  assert not workdir_lib.finished(workdir, config.replace(num_steps=5))
  assert not workdir_lib.finished(f'{workdir}/new', config)
  (copied_run / 'checkpoints' / 'ckpt-4.index').write_bytes(b'')
  assert not workdir_lib.finished(workdir, config)


def test_a_checkpoint_that_is_removed_meanwhile(copied_run, monkeypatch):
  """The next one is loaded."""
  restore = checkpoints.restore

  def remove_and_restore(state, path):
    for file in (copied_run / 'checkpoints').glob('ckpt-4.*'):
      file.unlink()
    return restore(state, path)

  monkeypatch.setattr(checkpoints, 'restore', remove_and_restore)
  assert workdir_lib.restore_model(str(copied_run))[1] == 2


def test_a_loaded_model_scores_exactly_and_trains_by_its_blocks(finished_run):
  """Training names the estimators that it takes, whatever the flow's own is."""
  model, _ = workdir_lib.restore_model(finished_run[0])
  x = tf.random.stateless_uniform([4, 8, 8, 1], [0, 1])
  assert model.estimator == numerics.Exact()
  np.testing.assert_array_equal(
      model.log_prob(x), model.log_prob(x, estimator='exact'))
  step = models.TrainStep(model, None, objectives.objective_of(model))
  loaded = step.gradients(models.Batch(x), 0)
  model.estimator = None
  for a, b in zip(*map(tf.nest.flatten, (
      loaded, step.gradients(models.Batch(x), 0))), strict=True):
    np.testing.assert_array_equal(a, b)
  model.estimator = numerics.Exact()
  exact = -tf.reduce_mean(model.log_prob(x))
  assert abs(model.to_loss(-exact) - loaded[0]['bits_per_dim']) > 1e-5


def test_a_stored_model_is_loaded_and_trained(tmp_path, data_dir):
  config = runs.config(data_dir, num_steps=1)
  model = config.model.build()
  model.initialize(tf.constant(
      np.random.default_rng(0).random([4, 8, 8, 1]), tf.float32))
  workdir = str(tmp_path / 'run')
  workdir_lib.create_workdir(workdir, config, model, {'origin.txt': 'here'})
  assert sorted(os.listdir(workdir)) == [
      'checkpoints', 'model.json', 'origin.txt', 'run.flags']
  for averaged in (False, True):
    loaded, step = workdir_lib.restore_model(workdir, averaged)
    assert step == 0
    for a, b in zip(loaded.trainable_variables, model.trainable_variables,
                    strict=True):
      np.testing.assert_array_equal(a.value, b.value)
  assert 'expected weights of this model' in splits.refusal(
      training.train, config.replace(hidden_channels=5), workdir)
  # Weights that were not trained there may be trained in any way.
  other = config.replace(batch_size=16, learning_rate=0.5)
  assert training.train(other, workdir).step == 1
  # From here on it is a run like any other.
  assert '--learning_rate was 0.5 and is ' in splits.refusal(
      training.train, other.replace(learning_rate=0.1), workdir)


def test_a_model_of_another_configuration_is_refused(tmp_path):
  model = runs.config(hidden_channels=5).model.build()
  testing.check_refusals(lambda model: workdir_lib.create_workdir(
      str(tmp_path / 'run'), _CONFIG, model), [(model, 'model=residual_flow')])
  assert not list(tmp_path.iterdir())


def test_missing_parts(tmp_path):
  workdir = str(tmp_path)
  for load, name in (
      (training.load_config, 'run.flags'),
      (workdir_lib.restore_model, 'model.json')):
    testing.check_refusals(load, [
        (workdir, f'...folder of a run. There is no {name}')])
  workdir_lib.write_settings(workdir, _CONFIG)
  assert 'Continue training it' in splits.refusal(
      workdir_lib.restore_model, workdir)
  for text in ('{', '{"no_such_field": 1}', '{"num_levels": 0}'):
    (tmp_path / 'model.json').write_text(text)
    with pytest.raises(ValueError, match='model.json: expected a model of'):
      workdir_lib.restore_model(workdir)


def test_weights_without_an_inverse_are_refused(tmp_path):
  config = runs.config(invertible_linear='free')
  model = config.model.build()
  (entries,) = [v for v in model.variables if v.name == 'entries']
  entries.assign(tf.zeros_like(entries.value))
  workdir = str(tmp_path / 'run')
  workdir_lib.create_workdir(workdir, config, model)
  testing.check_refusals(workdir_lib.restore_model, [(workdir, (
      'block_0_linear.matrix=condition number inf: expected at most 1e+04'))])
