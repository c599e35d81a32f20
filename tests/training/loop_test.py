"""A whole run: signals, kills, and disks that are full.

The slow tests kill real processes and continue their runs. A signal comes from
within, right after a row of metrics.csv is on the disk, so that the steps of
the kills are exact. Tested is one machine with the same number of threads:
other machines may round differently.
"""

import contextlib
import functools
import os
import resource
import signal

import pytest
import tensorflow as tf

from tests import hosts as hosts_lib
from tests.training import runs
from tf_resflow import models
from tf_resflow import training


@contextlib.contextmanager
def _full_disk():
  """Files may not grow beyond a limit, which fails as a full disk does."""
  old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
  old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old_limit[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
    signal.signal(signal.SIGXFSZ, old_handler)


@pytest.mark.reliability(promise='full-disk')
def test_signals_and_a_full_disk_lose_no_state(
    finished_run, tmp_path, data_dir, monkeypatch):
  """A run that they end three times ends where an undisturbed one does."""
  workdir, config = str(tmp_path / 'run'), runs.config(data_dir)
  restore, save = (getattr(training.Trainer, name) for name in (
      'restore_or_initialize', 'save'))
  handler = signal.getsignal(signal.SIGTERM)

  def signalled_restore(self):
    restore(self)
    os.kill(os.getpid(), signal.SIGINT)

  def signalled_save(self):
    save(self)
    if self.step == 2:
      os.kill(os.getpid(), signal.SIGTERM)

  def limited_save(self):
    with _full_disk() if self.step == 4 else contextlib.nullcontext():
      save(self)

  for method, replacement, error_class, message, step in (
      ('restore_or_initialize', signalled_restore,
       training.TrainingInterruptedError, '^SIGINT after step 0:', 0),
      ('save', signalled_save,
       training.TrainingInterruptedError, '^SIGTERM after step 2:', 2),
      ('save', limited_save, OSError,
       'checkpoint of step 4 cannot be written', 2)):
    with monkeypatch.context() as patch:
      patch.setattr(training.Trainer, method, replacement)
      with pytest.raises(error_class, match=message) as error:
        training.train(config, workdir)
    assert '\n' not in str(error.value)
    assert training.workdir.restore_model(workdir)[1] == step
    assert signal.getsignal(signal.SIGTERM) is handler
  runs.assert_equal(training.train(config, workdir), finished_run[1])
  assert [row['step'] for row in runs.rows(workdir)] == ['2', '4']


@pytest.mark.slow
@pytest.mark.reliability(promise='signal')
@pytest.mark.parametrize('patience, moments', [
    (0, [('first batch', 1, 0), ('tracing', 1, 1), ('save', 1, 2),
         ('validation', 1, 2), ('samples', 1, 2), ('validation', 2, 4),
         ('samples', 1, 4), ('save', 1, 4)]),
    (2, [('validation', 1, 0), ('validation', 2, 2), ('samples', 1, 2),
         ('save', 1, 2)])])
def test_signals_at_every_moment(
    tmp_path, data_dir, monkeypatch, patience, moments):
  """A run that one ends at each of them ends where an undisturbed one does.

  Its last step is the fourth, or the second after which patience stops it. The
  next start finds it finished.
  """
  config = runs.config(
      data_dir, num_validation=10, keep_best=True, evaluate_every=2,
      sample_every=2, log_every=1, patience=patience)
  moment = calls = None

  def at(name):
    """Counts calls; sends a signal at the wanted one."""
    calls.append(name)
    if moment == (name, calls.count(name)):
      os.kill(os.getpid(), signal.SIGTERM)

  def evaluate(model):
    at('validation')
    return {'validation_bits_per_dim': 1.0 if patience else sum(
        float(tf.reduce_sum(tf.abs(v.value)))
        for v in model.trainable_variables)}

  def picture(model):
    at('samples')
    return model.trainable_variables[0].value.numpy().clip(0.0, 1.0).reshape(
        [1, 1, -1, 1])

  def train(name):
    return training.train(
        config, str(tmp_path / name), evaluate,
        callbacks=[training.callbacks.write_samples(2, picture)])

  for cls, method, name in (
      (training.Trainer, 'initialize', 'first batch'),
      (training.Trainer, 'save', 'save'),
      (models.TrainStep, '__call__', 'tracing')):
    def call(*args, function, name):
      at(name)
      return function(*args)
    monkeypatch.setattr(cls, method, functools.partialmethod(
        call, function=getattr(cls, method), name=name))

  calls = []
  undisturbed = train('undisturbed')
  last_step = undisturbed.step
  for *moment, step in moments:
    moment, calls = tuple(moment), []
    with pytest.raises(training.TrainingInterruptedError,
                       match=f'^SIGTERM after step {step}: its state is saved'):
      train('disturbed')
    assert calls.count(moment[0]) == moment[1]
    after = calls[::-1][:calls[::-1].index(moment[0])]
    assert {*after} <= {'save'}
    # The last one came when all was done.
    assert bool(training.workdir.finished(
        str(tmp_path / 'disturbed'), config)) == (moment == ('save', 1) and (
            step == last_step))
  calls, moment = [], None
  assert train('disturbed').step == last_step and not calls
  # Also what validation has decided.
  one, other = (runs.tensors(tmp_path / name / 'checkpoints' /
                             f'ckpt-{last_step}')
                for name in ('undisturbed', 'disturbed'))
  assert not runs.different(one, other)
  one, other = ([{**row, 'examples_per_second': ''} for row in runs.rows(
      tmp_path / name)] for name in ('undisturbed', 'disturbed'))
  assert one == other
  for tag in ('bits_per_dim', 'validation_loss', 'samples'):
    one, other = ([step for step, _ in runs.points(tmp_path / name, tag)]
                  for name in ('undisturbed', 'disturbed'))
    assert one == other


# A run that is killed and continued ends where an undisturbed one does.

_NUM_STEPS = 16  # An epoch has 1437 / 128 = 11.2 steps.
# After which step a process ends, by what, how; from where it went on.
_ENDS = (
    (7, signal.SIGKILL, -signal.SIGKILL, ''),
    (12, signal.SIGKILL, -signal.SIGKILL, 'Restored step 5 from'),
    (13, signal.SIGTERM, 3, 'Restored step 10 from'),
    (_NUM_STEPS, None, 0, 'Restored step 13 from'))


def _start(data_dir, workdir, *flags, **stop):
  return hosts_lib.start(
      workdir, data_dir, '--batch_size=128', f'--num_steps={_NUM_STEPS}',
      '--warmup_steps=5', '--checkpoint_every=5', '--noevaluate_at_end',
      '--crop_padding=1', *flags, **stop)


@pytest.mark.slow
@pytest.mark.reliability(promise='lock-of-the-killed')
@pytest.mark.reliability(promise='kill')
def test_a_run_that_is_killed_ends_as_an_undisturbed_one(tmp_path, data_dir):
  undisturbed, disturbed = tmp_path / 'undisturbed', tmp_path / 'disturbed'
  reference = _start(data_dir, undisturbed)
  for step, number, status, restored in _ENDS:
    process = _start(
        data_dir, disturbed, stop=number and (step, int(number)))
    stderr = process.communicate()[1]
    assert process.returncode == status, stderr
    # The row of the last step and no later one is on the disk.
    assert runs.rows(disturbed)[-1]['step'] == str(step), stderr
    assert restored in stderr and ('Restored' in stderr) == bool(restored)
    if number == signal.SIGTERM:
      assert stderr.splitlines()[-1] == (
          f'train: error: SIGTERM after step {step}: its state is saved; '
          'run the same command again to continue.')
      assert 'Traceback' not in stderr
  reference_said = reference.communicate()[1]
  assert reference.returncode == 0, reference_said

  # All is bit for bit the same.
  expected, before, found = [
      runs.tensors(workdir / 'checkpoints' / f'ckpt-{step}')
      for workdir, step in (
          (undisturbed, _NUM_STEPS), (undisturbed, _NUM_STEPS - 1),
          (disturbed, _NUM_STEPS))]
  assert not runs.different(expected, found)
  # Weights, slots of the optimizer, averages, singular vectors, step.
  moved = runs.different(expected, before)
  for part in ('optimizer/_trainable_variables', 'optimizer/_variables',
               'optimizer/_iterations', 'ema/averages', '/v/', 'step/'):
    assert any(part in key for key in moved), part

  # And metrics.csv has every step once.
  expected, found = runs.rows(undisturbed), runs.rows(disturbed)
  assert [row['step'] for row in expected] == [
      str(i) for i in range(1, _NUM_STEPS + 1)]
  for name in ('step', 'bits_per_dim', 'gradient_norm', 'learning_rate'):
    assert [row[name] for row in found] == [row[name] for row in expected]


@pytest.mark.slow
@pytest.mark.reliability(promise='same-run-twice')
@pytest.mark.reliability(promise='takeover')
def test_one_process_trains_a_run(tmp_path, data_dir):
  """Of two at the same instant; and one that hangs loses it, and writes not."""
  whole, taken = tmp_path / 'whole', tmp_path / 'taken'
  both = [_start(data_dir, whole) for _ in range(2)]
  hanging = _start(data_dir, taken, stop=(7, int(signal.SIGSTOP)))
  said = [process.communicate()[1] for process in both]
  assert sorted(process.returncode for process in both) == [0, 2], said
  refused = next(text for process, text in zip(both, said, strict=True)
                 if process.returncode)
  assert refused.splitlines()[-1].startswith(
      f'train: error: --workdir={whole}: expected a run that no other process '
      'trains. It is trained by process ')

  assert os.WIFSTOPPED(os.waitpid(hanging.pid, os.WUNTRACED)[1])
  other = _start(data_dir, taken, '--takeover')
  assert (other.communicate()[1], other.returncode)[1] == 0
  before = runs.contents(taken)
  hanging.send_signal(signal.SIGCONT)
  said = hanging.communicate()[1]
  assert hanging.returncode == 4, said
  assert said.splitlines()[-1] == (
      f'train: error: The run in {taken} has no run.lock any more: another '
      'process took it over and has ended, or it was moved. This process has '
      'ended, and has written nothing since.')
  assert runs.contents(taken) == before
  assert not {'run.lock'} & set(os.listdir(taken))
  assert not runs.different(*(
      runs.tensors(workdir / 'checkpoints' / f'ckpt-{_NUM_STEPS}')
      for workdir in (whole, taken)))
  assert [row['step'] for row in runs.rows(taken)] == [
      str(i) for i in range(1, _NUM_STEPS + 1)]
