"""What a run keeps of held-out rows, and what it is good for."""

import os

import numpy as np
import pandas as pd
import pytest

from tf_resflow import errors
from tf_resflow import workflow


def _draws(num_rows, seed=0):
  return pd.DataFrame(np.random.default_rng(seed).normal(
      size=[num_rows, 2]), columns=['a', 'b'])


@pytest.fixture(scope='module', name='run')
def _run(tmp_path_factory):
  """A run of a frame, of which 300 rows were held out, two of them alike."""
  rows = pd.concat([_draws(999), _draws(1)])
  folder = tmp_path_factory.mktemp('held_out') / 'run'
  return workflow.fit(
      rows, folder, test=0.3, num_steps=2, num_blocks=1, hidden_units=(4,),
      base='normal', refit=False, sample_every=0, verbose=False)


def test_another_session_marks_the_same_rows(run):
  """The scores and hashes of held-out rows suffice."""
  rows = pd.concat([_draws(30), _draws(270, 1), _draws(30, 2) + 7.0])
  loaded = workflow.load(run.run.workdir)
  for options in ({}, {'fdr': 0.1}):
    expected, found = (
        workflow.score(flow, rows, certify=False, **options).frame().astype(
            float) for flow in (run, loaded))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)
  assert found['odd'].sum() >= 30 and found['p_value'].isna().sum() == 30
  path = os.path.join(run.run.workdir, 'held_out.npz')
  num_validation = run.run.config.data.num_validation
  assert os.path.getsize(path) < 16 * 300 + 8 * num_validation + 2000


def test_scores_of_other_weights_are_not_used(run):
  loaded = workflow.load(run.run.workdir, averaged=False)
  with pytest.raises(errors.InvalidValueError, match='has not kept the frame'):
    workflow.score(loaded, _draws(9), fdr=0.1)
  (note,) = [note for note in workflow.score(loaded, _draws(9)).notes]
  assert note.startswith('note: no p_value: the test part')


def test_damaged_files_are_refused(run, tmp_path):
  run.save(tmp_path / 'copy')
  path = tmp_path / 'copy' / 'held_out.npz'
  whole = path.read_bytes()
  np.savez(path, log_prob=np.zeros(3))
  with pytest.raises(errors.InvalidValueError, match='scores and hashes of r'):
    workflow.score(workflow.load(tmp_path / 'copy'), _draws(9), fdr=0.1)
  path.write_bytes(whole[:-9])
  with pytest.raises(errors.InvalidValueError, match='held_out.npz of traini'):
    workflow.score(workflow.load(tmp_path / 'copy'), _draws(9), fdr=0.1)
