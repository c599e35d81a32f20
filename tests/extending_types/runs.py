"""The runs of docs/extending.md, in a process that knows its types.

tests/extending_test.py runs these with the plugin beside this file.
"""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from tests import documents
from tests import splits
from tests.extending_types import plugin
from tests.training import runs as training_runs

TRAINED = [call for call in documents.commands(plugin.PAGES[0].read_text())
           if call.tool == 'train']


def workdir_of(call: documents.Command) -> str:
  """Returns the folder that a run is trained in."""
  (workdir,) = [a.removeprefix('--workdir=') for a in call.arguments
                if a.startswith('--workdir=')]
  return workdir


def train(call, folder, run) -> None:
  """Trains for a step.

  Args:
    call: of bin/train.
    folder: where it runs.
    run: `run(tool, *arguments)` runs a tool there and returns its stdout.
  """
  workdir = workdir_of(call)
  rng = np.random.default_rng(0)
  np.save(folder / 'points.npy', rng.normal(size=[100, 3]))
  np.save(folder / 'categories.npy', rng.integers(3, size=[100, 2]))
  splits.write_table(folder / 'wages.csv', ['wage', 'age'], np.stack(
      [12.5 + rng.lognormal(size=100), rng.normal(size=100)], axis=1))
  run('train', *call.arguments, '--sample_every=1', '--batch_size=8',
      '--warmup_steps=0', '--num_steps=1', '--noevaluate_at_end')
  run_flags = (folder / workdir / 'run.flags').read_text().splitlines()
  assert '--import=my_types' in run_flags
  given = [re.sub('=(npy|table):', rf'=\1:{folder}/', a) for a in call.arguments
           if not a.startswith(('--workdir', '--num_steps'))]
  assert set(given) <= set(run_flags)


def continue_and_evaluate(call, folder, run, run_killed) -> None:
  """Kills a run in its first step, continues it by its flagfile, and uses it.

  It ends as one that was not killed, bit for bit.
  """
  settings = [a for a in call.arguments
              if not a.startswith(('--workdir', '--num_steps'))]
  settings += ['--num_steps=2', '--batch_size=8', '--sample_every=0',
               '--checkpoint_every=1', '--noevaluate_at_end']
  run_killed(*settings, '--workdir=killed')
  assert not (folder / 'killed' / 'checkpoints' / 'ckpt-2.index').exists()
  run('train', '--flagfile=killed/run.flags', '--workdir=killed')
  run('train', *settings, '--workdir=whole')
  killed, whole = (
      training_runs.tensors(folder / name / 'checkpoints' / 'ckpt-2')
      for name in ('killed', 'whole'))
  assert not training_runs.different(killed, whole)
  report = json.loads(run(
      'evaluate', '--import=my_types', '--workdir=killed',
      '--num_examples=8', '--certify').splitlines()[-1])
  assert 0.0 < report['bits_per_dim'] < 50.0
  assert report['reconstruction_error_max'] < 1e-3
  assert report['lipschitz_bound_max'] < 1.0
  run('export', '--import=my_types', '--workdir=killed', '--output=served/1',
      '--nowarmup')
  served = tf.saved_model.load(str(folder / 'served' / '1')).signatures
  samples = served['sample'](
      num_samples=tf.constant(2), seed=tf.constant([0, 1]),
      temperature=tf.constant(1.0))
  assert samples['images'].shape == (2, 8, 8, 1)


def test_flags_know_the_types(run_tool):
  text = run_tool('train', '--import=my_types', '--help=all').stdout
  for name in ('concatenated_elu', 'householder', 'frobenius', 'averaged',
               'checkerboard', 'interpolations', 'reflected', 'gaussian',
               'stripes',
               'npy:FILE.npy', 'clipped', 'centered', 'argmax', 'student',
               '--pixel_alpha'):
    assert name in text


@pytest.mark.parametrize('call', TRAINED[:-1], ids=workdir_of)
def test_trained(call, tmp_path, monkeypatch, run_tool):
  monkeypatch.chdir(tmp_path)

  def run(tool, *arguments):
    result = run_tool(tool, *arguments)
    assert result.status == 0, result.stderr
    return result.stdout

  train(call, tmp_path, run)
