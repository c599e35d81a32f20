"""A run that diverges stops, says where, and keeps its last good state."""

import glob
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.training import runs
from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import training
from tf_resflow.training import strategies
from tf_resflow.training import trainer as trainer_lib


def _config(**changes):
  return configuration.make_config(**{
      'dataset': '2d/moons', 'num_blocks': 1, 'hidden_units': (4,),
      'batch_size': 32, 'num_steps': 8, 'warmup_steps': 0, 'log_every': 1,
      'checkpoint_every': 2, 'checkpoints_to_keep': 8, 'sample_every': 0,
      'learning_rate': 1e-3, **changes})


def _assert_all_finite(workdir):
  """Checks every tensor of every checkpoint; returns their steps."""
  steps = []
  for path in glob.glob(str(workdir / 'checkpoints' / '*.index')):
    reader = tf.train.load_checkpoint(path.removesuffix('.index'))
    steps.append(int(reader.get_tensor('step/.ATTRIBUTES/VARIABLE_VALUE')))
    for name in reader.get_variable_to_shape_map():
      if not name.startswith(('_CHECKPOINTABLE_OBJECT_GRAPH', 'config/')):
        assert np.all(np.isfinite(reader.get_tensor(name))), (path, name)
  return sorted(steps)


def _poison(monkeypatch, name, factor, num_calls):
  """Lets a call of `run_step` find a variable of this name times a factor."""
  run_step, calls = trainer_lib.Trainer.run_step, []

  def poisoned_run_step(self, images, step):
    calls.append(step)
    if len(calls) == num_calls:
      variable = next(
          v for v in self.model.trainable_variables if v.name == name)
      variable.assign(factor * variable)
    return run_step(self, images, step)

  monkeypatch.setattr(trainer_lib.Trainer, 'run_step', poisoned_run_step)


def test_poisoned_weights(tmp_path, monkeypatch):
  """One of them makes the loss NaN, the other one has no norm."""
  config = _config(log_every=5)
  for poisoned, num_calls, bad_step, good_steps in (
      # The second time the run goes on from the last good state.
      ('log_scale', 4, 4, [0, 2]), ('kernel', 3, 5, [0, 2, 4])):
    with monkeypatch.context() as patch:
      _poison(patch, poisoned, np.nan, num_calls)
      with pytest.raises(training.TrainingDivergedError) as error:
        training.train(config, str(tmp_path))
    message = str(error.value)
    assert f'step {bad_step}' in message, message
    assert f'ckpt-{good_steps[-1]};' in message, message
    assert _assert_all_finite(tmp_path) == good_steps


def test_a_forward_pass_that_does_not_converge(tmp_path, monkeypatch):
  """A solve of something that is not finite fails."""
  _poison(monkeypatch, 'bias', np.inf, 3)
  with pytest.raises(training.TrainingDivergedError, match=(
      'a solve of a forward pass failed after step 2; training stopped.*'
      'ckpt-2; the same command ends there again')):
    training.train(_config(block='monotone'), str(tmp_path))


@pytest.mark.slow
@pytest.mark.reliability(promise='nonfinite-batch')
def test_a_batch_that_is_not_finite(tmp_path, monkeypatch, caplog):
  """It is the same one in every start, until it is passed over."""
  rng = np.random.default_rng(0)
  np.savez(tmp_path / 'points.npz', x=rng.normal(size=[90, 2]))
  config = _config(
      dataset=f'array:{tmp_path}/points.npz', num_validation=0, batch_size=8,
      num_steps=5, checkpoint_every=1, log_every=2, schedule='constant',
      evaluate_every=0, keep_best=False)
  distributed_batches = strategies.distributed_batches

  def draw(config, split, strategy, start_step):
    for step, batch in enumerate(distributed_batches(
        config, split, strategy, start_step), start_step):
      yield batch._replace(x=batch.x * np.nan) if step == 2 else batch

  monkeypatch.setattr(strategies, 'distributed_batches', draw)
  workdir = tmp_path / 'run'
  for _ in range(2):
    with pytest.raises(training.TrainingDivergedError, match=(
        'not finite at step 3 .*/ckpt-2; the same command meets this batch '
        'again, which --skip_nonfinite=1 passes over')):
      training.train(config, str(workdir))

  # Continued from before it and from after it, it ends the same.
  config = config.replace(skip_nonfinite=1)
  training.train(config, str(workdir))
  assert 'Passed over 1 batches before step 4,' in caplog.text
  last, again = workdir / 'checkpoints' / 'ckpt-5', tmp_path / 'again'
  assert runs.tensors(last)['skipped/.ATTRIBUTES/VARIABLE_VALUE'] == 1
  assert [row['skipped'] for row in runs.rows(workdir)][-3:] == ['1', '0', '0']
  shutil.copytree(workdir, again)
  for path in (again / 'checkpoints').glob('ckpt-5.*'):
    path.unlink()
  training.train(config, str(again))
  assert not runs.different(
      runs.tensors(again / 'checkpoints' / 'ckpt-5'), runs.tensors(last))


def test_a_matrix_without_an_inverse_ends_a_run(tmp_path, monkeypatch):
  """Before its step, or after a step whose state would be saved."""
  config = _config(
      invertible_linear='free', block='coupling', activation='relu')
  _poison(monkeypatch, 'entries', 0.0, 3)
  with pytest.raises(training.TrainingDivergedError) as error:
    training.train(config, str(tmp_path))
  assert 'singular after step 2; training stopped. ' in str(error.value)
  assert 'ckpt-2;' in str(error.value) and '\n' not in str(error.value)

  trainer = trainer_lib.Trainer(config, str(tmp_path))
  trainer.restore_or_initialize()
  (entries,) = [v for v in trainer.model.variables if v.name == 'entries']
  for variable, factor, message in (
      (entries, 0.0, '^the flow is not invertible after step 2: '),
      # As after an update that overflows.
      (trainer.ema.averages[0], np.inf, 'not finite after step 2')):
    variable.assign(factor * variable)
    with pytest.raises(training.TrainingDivergedError, match=message):
      trainer.save()
  assert _assert_all_finite(tmp_path) == [0, 2]


@pytest.mark.reliability(promise='weights-differ')
def test_processes_that_differ_in_a_bit_save_nothing(tmp_path, monkeypatch):
  trainer = trainer_lib.Trainer(_config(), str(tmp_path))
  trainer.restore_or_initialize()
  digests = []
  monkeypatch.setattr(strategies, 'num_workers', lambda strategy: 2)
  monkeypatch.setattr(strategies, 'gather', lambda strategy, digest: (
      digests.append(digest) or [digests[0], digest]))
  trainer.save()
  saved = runs.contents(tmp_path)
  average = trainer.ema.averages[-1]
  average.assign(np.nextafter(average, np.inf))
  with pytest.raises(errors.ExpectedError, match='of process 1 are not'):
    trainer.save()
  assert runs.contents(tmp_path) == saved


def test_what_flows_keep_resumes_bit_for_bit(tmp_path, data_dir):
  """Noise, moving means, and orders of norms that are trained by the norms."""
  whole, resumed = runs.resume(runs.config(
      data_dir, moving_mean=True, noise_channels=1,
      noise_distribution='gaussian',
      norms=('learned',), norm_bound='estimate', order_gradient='norm',
      fully_connected=True, num_dense_hidden_layers=1, dense_hidden_units=4),
                               tmp_path)
  runs.assert_equal(whole, resumed)
  moved = {name: [v.numpy() for v in whole.model.variables if v.name == name]
           for name in ('raw', 'num_updates')}
  # One at the initialisation, and one a step.
  assert moved['num_updates'] == [5]
  assert len(moved['raw']) > 1 and np.any(moved['raw'])
  assert whole.sample_images(whole.model, 3).shape == (3, 8, 8, 1)
