"""Which folders a run accepts, and what it loads from them."""

import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import training
from tf_resflow.training import loop
from tf_resflow.training import workdir as workdir_lib

_CONFIG = configuration.make_config(
    num_blocks=(1,), hidden_channels=4, num_dense_blocks=0, batch_size=32,
    num_steps=4, warmup_steps=0, checkpoint_every=2, sample_every=0,
    learning_rate=0.01)


def _contents(folder):
  """Returns the bytes and times of all files of a folder."""
  return {
      str(path.relative_to(folder)):
          (path.read_bytes(), path.stat().st_mtime_ns)
      for path in pathlib.Path(folder).rglob('*') if path.is_file()
  }


@pytest.fixture(scope='module')
def run(tmp_path_factory, data_dir):
  """The workdir of a finished run, and its `Trainer`; copy it to change it."""
  workdir = str(tmp_path_factory.mktemp('run'))
  config = _CONFIG.replace(data_dir=data_dir)
  return workdir, training.train(config, workdir)


@pytest.fixture
def copied_run(run, tmp_path):
  return shutil.copytree(run[0], tmp_path / 'copy')


def _corrupt(path, how):
  data = path.read_bytes()
  if how == 'truncated':
    path.write_bytes(data[:len(data) // 2])
  elif how == 'flipped':
    # Every byte: not all parts are read by everybody.
    path.write_bytes(bytes(255 - b for b in data))
  else:
    path.write_bytes(b'')


def test_prepare_makes_a_run(tmp_path):
  workdir = str(tmp_path / 'a' / 'b')
  workdir_lib.check(workdir, _CONFIG)
  assert not os.path.exists(workdir)
  workdir_lib.prepare(workdir, _CONFIG)
  assert sorted(os.listdir(workdir)) == ['model.json', 'run.flags']
  assert training.load_config(workdir) == _CONFIG
  # What a run may change replaces the old value.
  longer = _CONFIG.replace(num_steps=9)
  workdir_lib.prepare(workdir, longer)
  assert training.load_config(workdir) == longer


def test_prepare_accepts_what_a_killed_start_left(tmp_path):
  (tmp_path / 'model.json').write_text('{}')
  (tmp_path / 'run.flags.tmp').write_text('--seed')
  workdir_lib.prepare(str(tmp_path), _CONFIG)
  assert training.load_config(str(tmp_path)) == _CONFIG


def test_foreign_folder_is_refused(tmp_path):
  (tmp_path / 'thesis.tex').write_text('important')
  before = _contents(tmp_path)
  with pytest.raises(ValueError, match='is not empty and holds no run'):
    training.train(_CONFIG, str(tmp_path))
  assert _contents(tmp_path) == before


def test_file_is_refused(tmp_path):
  path = tmp_path / 'file'
  path.write_text('important')
  with pytest.raises(ValueError, match='which is a file; name a folder'):
    training.train(_CONFIG, str(path))
  assert path.read_text() == 'important'


def test_run_of_another_configuration_is_refused(run, copied_run, data_dir):
  before = _contents(copied_run)
  assert 'metrics.csv' in before
  config = _CONFIG.replace(
      data_dir=data_dir, seed=1, hidden_channels=5)
  with pytest.raises(ValueError) as error:
    training.train(config, str(copied_run))
  message = str(error.value)
  assert '--hidden_channels was 4 and is 5, --seed was 0 and is 1' in message
  assert _contents(copied_run) == before


def test_failing_start_writes_nothing(tmp_path):
  workdir = tmp_path / 'run'
  config = _CONFIG.replace(
      dataset='cifar10', data_dir=str(tmp_path / 'missing'))
  with pytest.raises(datasets.loading.DatasetNotFoundError):
    training.train(config, str(workdir))
  assert list(tmp_path.iterdir()) == []


def test_finished_run_is_left_as_it_is(copied_run, data_dir):
  before = _contents(copied_run / 'checkpoints')
  config = _CONFIG.replace(data_dir=data_dir)
  assert training.train(config, str(copied_run)).step == 4
  assert _contents(copied_run / 'checkpoints') == before


def test_load_model(run):
  workdir, trainer = run
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


@pytest.mark.parametrize('how', ['truncated', 'flipped', 'empty'])
@pytest.mark.parametrize('suffix', ['index', 'data-00000-of-00001'])
def test_broken_checkpoint(copied_run, data_dir, how, suffix):
  _corrupt(copied_run / 'checkpoints' / f'ckpt-4.{suffix}', how)
  with pytest.raises(ValueError, match=r'ckpt-4 cannot be read: ') as error:
    training.load_model(str(copied_run))
  assert '\n' not in str(error.value)
  trainer = loop.Trainer(
      _CONFIG.replace(data_dir=data_dir), str(copied_run))
  with pytest.raises(ValueError, match=r'ckpt-4 cannot be read: .*Delete its'):
    trainer.restore_or_initialize()


def test_deleting_a_broken_checkpoint_helps(run, copied_run, data_dir):
  for path in (copied_run / 'checkpoints').glob('ckpt-4.*'):
    path.unlink()
  assert training.load_model(str(copied_run))[1] == 2
  # The lost steps are run again, with the same result.
  config = _CONFIG.replace(data_dir=data_dir)
  trainer = training.train(config, str(copied_run))
  assert trainer.step == 4
  for a, b in zip(trainer.model.variables, run[1].model.variables,
                  strict=True):
    np.testing.assert_array_equal(a.value, b.value)


def test_all_checkpoints_deleted(copied_run, data_dir):
  for path in (copied_run / 'checkpoints').glob('ckpt-*'):
    path.unlink()
  with pytest.raises(ValueError, match='all checkpoints of workdir'):
    training.load_model(str(copied_run))
  with pytest.raises(ValueError, match='all checkpoints of workdir'):
    training.train(
        _CONFIG.replace(data_dir=data_dir), str(copied_run))


def test_missing_parts(tmp_path):
  workdir = str(tmp_path)
  with pytest.raises(ValueError, match='holds no run .run.flags is missing'):
    training.load_config(workdir)
  with pytest.raises(ValueError, match='holds no run .model.json is missing'):
    training.load_model(workdir)
  workdir_lib.prepare(workdir, _CONFIG)
  with pytest.raises(ValueError, match='holds no checkpoint; train until'):
    training.load_model(workdir)
  for text in ('{', '{"no_such_field": 1}', '{"num_levels": 0}'):
    (tmp_path / 'model.json').write_text(text)
    with pytest.raises(ValueError, match='model.json: expected a model of'):
      training.load_model(workdir)
