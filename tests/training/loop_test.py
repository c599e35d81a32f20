"""A whole run: what it writes, when it stops, and disks that are full."""

import logging
import os
import resource
import shutil
import signal

import pytest

from tests.training import runs
from tf_resflow import training


def test_what_a_run_writes(tmp_path, data_dir):
  pictures = []
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
      'images_per_second', 'learning_rate', 'validation']
  assert [row['validation'] for row in rows] == ['1.5', '']
  assert pictures == [('samples_00000002.png', (64, 8, 8, 1)),
                      ('samples_00000003.png', (64, 8, 8, 1))]
  assert training.load_model(str(tmp_path))[1] == 3


def test_finished_run_is_left_as_it_is(
    finished_run, tmp_path, data_dir, caplog):
  workdir = shutil.copytree(finished_run[0], tmp_path / 'copy')
  before = runs.contents(workdir / 'checkpoints')
  with caplog.at_level(logging.WARNING, 'tf_resflow'):
    assert training.train(runs.config(data_dir), str(workdir)).step == 4
  assert runs.contents(workdir / 'checkpoints') == before
  assert 'Raise --num_steps to continue' in caplog.records[-1].message


@pytest.mark.parametrize('when', ['before', 'within'])
def test_a_signal_ends_a_run_with_its_state_saved(
    tmp_path, data_dir, monkeypatch, when):
  method = {'before': 'restore_or_initialize', 'within': 'save'}[when]
  original = getattr(training.Trainer, method)

  def interrupted(self):
    original(self)
    if when == 'before' or self.step == 2:
      os.kill(os.getpid(), signal.SIGINT)

  monkeypatch.setattr(training.Trainer, method, interrupted)
  step = {'before': 0, 'within': 2}[when]
  with pytest.raises(
      training.TrainingInterruptedError, match=f'^SIGINT after step {step}:'):
    training.train(runs.config(data_dir), str(tmp_path))
  assert training.load_model(str(tmp_path))[1] == step


def test_a_full_disk_is_one_line(tmp_path, data_dir, monkeypatch):
  """Files may not grow beyond a limit, which fails as a full disk does."""
  old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
  old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  save = training.Trainer.save

  def limited_save(self):
    if self.step == 4:
      resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old_limit[1]))
    return save(self)

  monkeypatch.setattr(training.Trainer, 'save', limited_save)
  try:
    with pytest.raises(
        OSError, match='checkpoint of step 4 cannot be written') as error:
      training.train(runs.config(data_dir), str(tmp_path))
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
    signal.signal(signal.SIGXFSZ, old_handler)
  assert '\n' not in str(error.value)
  monkeypatch.undo()
  assert training.load_model(str(tmp_path))[1] == 2
  assert training.train(runs.config(data_dir), str(tmp_path)).step == 4


def test_a_deleted_folder_is_one_line(tmp_path, data_dir, monkeypatch):
  workdir = tmp_path / 'run'
  save = training.Trainer.save

  def save_nowhere(self):
    if self.step == 2:
      shutil.rmtree(workdir)
      workdir.write_text('A file in its place, or TensorFlow would make it.')
    return save(self)

  monkeypatch.setattr(training.Trainer, 'save', save_nowhere)
  with pytest.raises(OSError) as error:
    training.train(runs.config(data_dir), str(workdir))
  assert '\n' not in str(error.value)
