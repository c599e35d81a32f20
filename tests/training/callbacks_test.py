"""What a run does after its steps: which, in which order, and once more."""

import logging
import os

import pytest
import tensorflow as tf

from tests.training import runs
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.training import callbacks as callbacks_lib


def test_what_a_run_writes(tmp_path, data_dir, monkeypatch, caplog):
  """Samples that fail do not end it."""
  pictures, sample = [], training.Trainer.sample_images

  def sample_images(self, model):
    if self.step == 2:
      numerics.check_converged(numerics.Banach(max_steps=1).solve(
          lambda x: 0.5 * tf.sin(x), tf.ones([2, 3])), 'a block')
    return sample(self, model)

  monkeypatch.setattr(training.Trainer, 'sample_images', sample_images)
  with caplog.at_level(logging.WARNING, 'tf_resflow'):
    trainer = training.train(
        runs.config(data_dir, num_steps=3, log_every=2, evaluate_every=2,
                    num_validation=10, sample_every=2), str(tmp_path),
        evaluate_fn=lambda model: {'validation': 1.5},
        save_images_fn=lambda path, images: pictures.append(
            (os.path.basename(path), images.shape)))
  assert trainer.step == 3
  rows = runs.rows(tmp_path)
  assert [row['step'] for row in rows] == ['2', '3']
  assert list(rows[0]) == [
      'step', 'bits_per_dim', 'gradient_norm', 'power_iteration_steps',
      'examples_per_second', 'learning_rate', 'validation']
  assert [row['validation'] for row in rows] == ['1.5', '']
  assert pictures == [('samples_00000003.png', (64, 8, 8, 1))]
  [record] = [r for r in caplog.records if 'tf_resflow' in r.name]
  assert record.message.startswith('No samples at step 2: ')
  assert 'a block: expected convergence' in record.message
  assert training.workdir.restore_model(str(tmp_path))[1] == 3


class _Record(callbacks_lib.Callback):
  """Notes the steps after which it is called, and what is saved then."""

  def __init__(self, name, every, fails_at=None, **attributes):
    self.name, self.every, self.fails_at = name, every, fails_at
    self.called = []
    vars(self).update(attributes)

  def after(self, run):
    folder = os.path.join(run.trainer.workdir, 'checkpoints')
    self.called.append((run.trainer.step, runs.steps(folder, '.')[-1]))
    if run.trainer.step == self.fails_at:
      raise ZeroDivisionError
    run.writer.write(run.trainer.step, {self.name: 0.5})


def test_callbacks_are_called_after_the_checkpoint(tmp_path, data_dir):
  """Again after an error; never with 0. One replaces that of the run."""
  config = runs.config(data_dir, sample_every=1)

  def train(fails_at=None):
    callbacks = [
        _Record('start', 9, at_start=True), _Record('never', 0),
        _Record('end', 3, at_end=True, fails_at=fails_at),
        _Record('samples', 4)]
    try:
      training.train(config, str(tmp_path), callbacks=callbacks)
    finally:
      found.append([callback.called for callback in callbacks])

  found = []
  for fails_at in (3, 4):
    with pytest.raises(ZeroDivisionError):
      train(fails_at)
  train()
  train()
  assert found == [
      [[(0, 0)], [], [(3, 2)], []],
      # Step 2 is repeated, which had nothing to do.
      [[], [], [(3, 2), (4, 4)], [(4, 4)]],
      [[], [], [(4, 4)], [(4, 4)]], [[]] * 4]
  assert [row['step'] for row in runs.rows(tmp_path)] == ['0', '2', '3', '4']
