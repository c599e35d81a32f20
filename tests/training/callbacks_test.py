"""What a run does after its steps: which, in which order, and once more."""

import contextlib
import logging
import os

import pytest
import tensorflow as tf

from tests.training import runs
from tf_resflow import numerics
from tf_resflow import training


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


def test_callbacks_are_called_after_the_checkpoint(tmp_path, data_dir):
  """Again after an error; never with 0. One replaces that of the run."""
  config = runs.config(data_dir, sample_every=1)

  def call(name, every, **settings):
    def after(run):
      saved = runs.steps(tmp_path, 'checkpoints')[-1]
      called.append((name, run.trainer.step, saved))
      if called[-1] == fails_at:
        raise ZeroDivisionError
      run.writer.write(run.trainer.step, {name: 0.5})

    return training.callbacks.Callback(
        name=name, every=every, after=after, **settings)

  found = []
  for fails_at in (('end', 3, 2), ('samples', 4, 4), None, None):
    called = []
    with (pytest.raises(ZeroDivisionError) if fails_at else
          contextlib.nullcontext()):
      training.train(config, str(tmp_path), callbacks=[
          call('start', 9, at_start=True), call('never', 0),
          call('end', 3, at_end=True), call('samples', 4)])
    found.append(called)
  # The second start repeats step 2, after which nothing was due.
  assert found == [
      [('start', 0, 0), ('end', 3, 2)],
      [('end', 3, 2), ('samples', 4, 4)],
      [('samples', 4, 4), ('end', 4, 4)], []]
  assert [row['step'] for row in runs.rows(tmp_path)] == ['0', '2', '3', '4']
