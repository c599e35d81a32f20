"""A run that diverges stops, says where, and keeps its last good state."""

import glob
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests import replicas
from tests import testing
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


@pytest.mark.parametrize(
    'num_replicas', [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.reliability(promise='nonfinite-batch')
def test_batches_that_are_passed_over_leave_no_trace(num_replicas):
  """Of two only the second replica has the part that is not finite."""
  strategy = runs.strategy_of(num_replicas)
  without, learner = (trainer_lib.Learner(
      runs.config(moving_mean=True, skip_nonfinite=number), strategy)
                      for number in (0, 2))

  def batch(seed, value=0.5):
    x = np.random.default_rng(seed).random([8, 8, 8, 1], np.float32)
    x[-1] *= 2.0 * value
    return training.Batch(x if num_replicas == 1 else replicas.per_replica(
        *np.split(x, 2)))

  def state_of(learner):
    return [v.numpy() for variable in (
        *learner.model.variables, *learner.optimizer.variables)
            for v in strategy.experimental_local_results(variable.value)] + [
                v.numpy() for v in learner.ema.averages]

  for each in without, learner:
    each.initialize(batch(0))
  for i, is_bad in enumerate((False, True, True, False)):
    before, step = state_of(learner), tf.constant(i, tf.int64)
    metrics = dict(learner.run_step(
        batch(i, np.nan if is_bad else 0.5), step))
    assert metrics.pop('skipped') == is_bad
    if is_bad:
      np.testing.assert_equal(state_of(learner), before)
    else:
      assert metrics == without.run_step(batch(i), step)
      assert any(map(np.any, map(np.not_equal, state_of(learner), before)))
    np.testing.assert_equal(*map(state_of, (learner, without)))
  assert learner.state['skipped'].numpy() == 2
  # At most two.
  assert learner.run_step(
      batch(4, np.nan), tf.constant(4, tf.int64))['skipped'] == 0
  assert not all(np.isfinite(v).all() for v in state_of(learner))


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
  distributed_batches, bad = strategies.distributed_batches, []

  def draw(config, split, strategy, start_step):
    for step, batch in enumerate(distributed_batches(
        config, split, strategy, start_step), start_step):
      if step == 2:
        bad.append(batch.x.numpy())
      yield batch._replace(x=batch.x * np.nan) if step == 2 else batch

  monkeypatch.setattr(strategies, 'distributed_batches', draw)
  workdir, messages = tmp_path / 'run', []
  for _ in range(2):
    with pytest.raises(training.TrainingDivergedError) as error:
      training.train(config, str(workdir))
    messages.append(str(error.value))
  same = ', as before: it is the same batch'
  assert [same in message for message in messages] == [False, True]
  assert messages[1].replace(same, '') == messages[0]
  assert re.search(r'not finite at step 3 .*/ckpt-2; the same command meets '
                   r'this batch again \(see not_finite.txt\)', messages[0])
  noted = re.fullmatch(r'Step 3: training examples ([\d, ]+)\.\n', (
      workdir / 'not_finite.txt').read_text())[1].split(', ')
  x = config.open_split('train').arrays['x'].numpy()
  np.testing.assert_array_equal(
      np.sort(x[[*map(int, noted)], 0]), np.sort(bad[0][:, 0]))

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


@pytest.mark.reliability(promise='too-large')
def test_batches_that_are_refused():
  """Replicas cannot share them, or they exceed the memory."""
  strategy = replicas.two_replicas()
  testing.check_refusals(
      lambda values: trainer_lib.Learner(_config(**values), strategy), [
          ({'batch_size': 3}, 'batch_size=3: expected a multiple of 2, the nu'),
          ({'batch_size': 10**12}, 'batch_size=1000000000000 needs'),
          ({'accumulation_steps': 10**12},
           'accumulation_steps=1000000000000 needs')])


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
