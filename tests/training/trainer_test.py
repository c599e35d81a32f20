"""A run that diverges stops, says where, and keeps its last good state.

Replicas share every part of a batch that is accumulated.
"""

import glob
import re
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from tests import replicas
from tests.training import runs
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.training import loop
from tf_resflow.training import trainer as trainer_lib


def _config(data_dir, **kwargs):
  return configuration.make_config(**(dict(
      data_dir=data_dir, num_blocks=(1,), hidden_channels=4,
      num_dense_blocks=0, batch_size=32, num_steps=8, warmup_steps=0,
      checkpoint_every=2, checkpoints_to_keep=8, log_every=1,
      sample_every=0) | kwargs))


def _assert_all_finite(workdir):
  """Checks every tensor of every checkpoint; returns their steps."""
  steps = []
  for path in glob.glob(str(workdir / 'checkpoints' / '*.index')):
    reader = tf.train.load_checkpoint(path.removesuffix('.index'))
    steps.append(int(reader.get_tensor('step/.ATTRIBUTES/VARIABLE_VALUE')))
    for name in reader.get_variable_to_shape_map():
      if name != '_CHECKPOINTABLE_OBJECT_GRAPH':
        assert np.all(np.isfinite(reader.get_tensor(name))), (path, name)
  return sorted(steps)


def test_absurd_learning_rate(tmp_path, data_dir):
  with pytest.raises(training.TrainingDivergedError) as error:
    training.train(
        _config(data_dir, learning_rate=1e30, checkpoint_every=1,
                sample_every=1), str(tmp_path))
  message = str(error.value)
  # Whether such weights still have a norm in float32 is left open.
  step = int(re.search(r' step (\d)', message)[1])
  assert step <= 2 and '--learning_rate' in message, message
  steps = _assert_all_finite(tmp_path)
  assert steps == list(range(len(steps))) and len(steps) <= 2
  assert f'ckpt-{steps[-1]};' in message
  assert training.load_model(str(tmp_path))[1] == steps[-1]


@pytest.mark.parametrize('poisoned', ['log_scale', 'kernel'])
def test_poisoned_weights(tmp_path, data_dir, monkeypatch, poisoned):
  run_step = trainer_lib.Trainer.run_step
  num_calls = [0]

  def poisoned_run_step(self, images, step):
    num_calls[0] += 1
    if num_calls[0] == 4:
      variable = next(
          v for v in self.model.trainable_variables if v.name == poisoned)
      variable.assign(np.nan * variable)
    return run_step(self, images, step)

  monkeypatch.setattr(trainer_lib.Trainer, 'run_step', poisoned_run_step)
  config = _config(data_dir, log_every=5)
  with pytest.raises(training.TrainingDivergedError) as error:
    training.train(config, str(tmp_path))
  message = str(error.value)
  assert 'step 4' in message and 'ckpt-2' in message, message
  assert _assert_all_finite(tmp_path) == [0, 2]

  # The same command goes on from the last good state.
  monkeypatch.undo()
  assert training.train(config, str(tmp_path)).step == 8
  assert _assert_all_finite(tmp_path) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize('num_calls', [4, 5])
def test_a_matrix_without_an_inverse_ends_a_run(
    tmp_path, data_dir, monkeypatch, num_calls):
  """Before its step, or after a step whose state would be saved."""
  run_step = trainer_lib.Trainer.run_step
  calls = []

  def singular(self):
    for variable in self.model.trainable_variables:
      if variable.name == 'entries':
        variable.assign(0.0 * variable)

  def poisoned_run_step(self, images, step):
    calls.append(step)
    if num_calls == len(calls) == 5:
      singular(self)
    metrics = run_step(self, images, step)
    if num_calls == len(calls) == 4:
      singular(self)
    return metrics

  monkeypatch.setattr(trainer_lib.Trainer, 'run_step', poisoned_run_step)
  config = _config(
      data_dir, invertible_linear='free', block='coupling', activation='relu')
  with pytest.raises(training.TrainingDivergedError) as error:
    training.train(config, str(tmp_path))
  message = str(error.value)
  last = 2 if num_calls == 4 else 4
  assert 'after step 4' in message and f'ckpt-{last};' in message, message
  assert '\n' not in message
  monkeypatch.undo()
  assert training.train(config, str(tmp_path)).step == 8


def test_samples_that_fail_do_not_end_a_run(tmp_path, data_dir, monkeypatch):
  monkeypatch.setattr(
      trainer_lib.Trainer, 'sample_images',
      lambda self, model: numerics.check_converged(
          numerics.Banach(max_steps=1).solve(
              lambda x: 0.5 * tf.sin(x), tf.ones([2, 3])), 'a block'))
  config = _config(data_dir, num_steps=2, sample_every=1)
  with mock.patch.object(loop._logger, 'warning') as warning:
    assert training.train(config, str(tmp_path)).step == 2
  assert [call.args[1] for call in warning.call_args_list] == [1, 2]
  assert 'a block: expected convergence' in warning.call_args.args[2]


def test_overflow_of_an_update_is_not_saved(tmp_path, data_dir):
  config = _config(data_dir)
  trainer = trainer_lib.Trainer(config, str(tmp_path))
  trainer.restore_or_initialize()
  trainer.ema.averages[0].assign(
      np.inf * tf.ones(trainer.ema.averages[0].shape))
  with pytest.raises(
      training.TrainingDivergedError, match='not finite after step 0'):
    trainer.save()
  assert _assert_all_finite(tmp_path) == [0]


def _batch(config, strategy, start_step=0):
  split = datasets.load_split(config.data, 'train')
  dataset = trainer_lib.distributed_batches(config, split, strategy, start_step)
  return next(iter(dataset))


@pytest.mark.parametrize('condition', [(), ('label',)])
def test_parts_are_unions_of_the_replicas_parts(data_dir, condition):
  config = runs.config(
      data_dir, batch_size=6, accumulation_steps=3, condition=condition)
  one = _batch(config, training.make_strategy('single'))
  assert one.x.shape == (18, 8, 8, 1) and one.labels.shape == (18,)
  two = _batch(config, replicas.two_replicas())
  for expected, values in zip(one, two, strict=True):
    if expected is None:
      assert not condition
      continue
    parts = np.split(expected.numpy(), 3)
    halves = [np.split(v, 3) for v in replicas.local_values(values)]
    for i, part in enumerate(parts):
      np.testing.assert_array_equal(
          part, np.concatenate([half[i] for half in halves]))
  if condition:
    np.testing.assert_array_equal(one.condition, one.labels)


def test_a_stream_is_entered_anywhere(data_dir):
  config = runs.config(data_dir)
  strategy = training.make_strategy('single')
  split = datasets.load_split(config.data, 'train')
  iterator = iter(trainer_lib.distributed_batches(config, split, strategy, 0))
  third = [next(iterator) for _ in range(3)][-1]
  np.testing.assert_array_equal(third.x, _batch(config, strategy, 2).x)


def test_batches_that_replicas_cannot_share_are_refused():
  trainer_lib.Learner(_config(None, batch_size=4), replicas.two_replicas())
  with pytest.raises(
      errors.InvalidValueError,
      match='^batch_size=3: expected a multiple of 2, the number of replicas'):
    trainer_lib.Learner(_config(None, batch_size=3), replicas.two_replicas())


_NOISE_AND_MEANS = dict(
    moving_mean=True, noise_channels=1, noise_law='gaussian')
_LEARNED_NORMS = dict(norms=('learned',), norm_bound='estimate')


@pytest.mark.parametrize('fields', [
    _NOISE_AND_MEANS, _LEARNED_NORMS | {'order_gradient': 'likelihood'},
    _LEARNED_NORMS | {'order_gradient': 'norm'}])
def test_what_flows_keep_resumes_bit_for_bit(tmp_path, data_dir, fields):
  config = runs.config(data_dir, **fields)
  whole = training.train(config, str(tmp_path / 'whole'))
  training.train(config.replace(num_steps=2), str(tmp_path / 'resumed'))
  resumed = training.train(config, str(tmp_path / 'resumed'))
  assert whole.step == resumed.step == 4
  for a, b in zip(whole.model.variables, resumed.model.variables, strict=True):
    np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
  moved = [v.numpy() for v in whole.model.variables
           if v.name in ('raw', 'num_updates')]
  if fields is _NOISE_AND_MEANS:
    # One at the initialisation, and one a step.
    assert moved == [5]
    assert whole.sample_images(whole.model, 3).shape == (3, 8, 8, 1)
  else:
    assert len(moved) > 1 and np.any(moved)


def test_names_of_what_training_keeps(data_dir):
  learner = trainer_lib.Learner(_config(data_dir))
  optimizer = [v.value.name for v in learner.optimizer.variables]
  assert len(optimizer) > 20 and set(optimizer[2:]) == {'state:0'}
  assert {v.name for v in learner.ema.averages} == {'average:0'}
