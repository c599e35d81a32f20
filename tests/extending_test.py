"""docs/extending*.md: their types pass the tests of ours, and are trained.

In processes of their own: what is registered is registered for all tests of a
process.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from tests import documents
from tests import hosts
from tests.commands import processes
from tests.extending_types import plugin as extending
from tests.extending_types import runs


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """Returns a function that runs bin/TOOL beside `my_types.py`."""
  folder = tmp_path_factory.mktemp('user')
  extending.write_module(folder)

  def run_tool(tool, *arguments):
    process = processes.run_launcher(tool, *arguments, cwd=folder)
    assert process.returncode == 0, process.stderr
    return process.stdout

  run_tool.folder = folder
  return run_tool


# All of the small types; of the others what does not take seconds to compile;
# and of the flows that are made of these, what is of the whole.
_SELECTION = (
    'everything_registered or every_kind or mine_activation or '
    'mine_augmentation or mine_constrained or flags_know or '
    '((mine_householder or mine_container or mine_distribution or '
    'mine_data or mine_base or mine_coupling or mine_reflected or '
    'mine_model or mine_estimator) and '
    'not (compiles or frozen or eager_calls or central_differences or '
    'keras_files or seeds_decide)) or '
    '(mine_flow_con and test_inverse) or '
    'test_trained')


@pytest.mark.slow
def test_conformance(tmp_path):
  """And everything that is registered has a case; the runs of the page."""
  process = subprocess.run(
      [sys.executable, '-m', 'pytest', '-q',
       '-p', 'tests.extending_types.plugin', '-p', 'no:cacheprovider',
       f'--basetemp={tmp_path / "pytest"}',
       'tests/conformance', runs.__file__, '-k', _SELECTION],
      cwd=documents.ROOT, capture_output=True, text=True, check=False,
      env=os.environ | {'PYTHONPATH': str(documents.ROOT)})
  assert process.returncode == 0, process.stdout
  assert 'passed' in process.stdout


@pytest.mark.slow
def test_killed_continued_evaluated_and_exported(run):
  """By a user's module that no process has imported before."""
  def run_killed(*arguments):
    process = processes.run_python(
        '-c', hosts.STOPPED, '1', '9', *arguments, cwd=run.folder,
        env={'PYTHONPATH': str(processes.ROOT)})
    assert process.returncode == -signal.SIGKILL, process.stderr

  runs.continue_and_evaluate(runs.TRAINED[-1], run.folder, run, run_killed)


@pytest.mark.slow
def test_a_study_of_ones_own_block(run):
  """That of docs/studies.md has at most 25 lines; its first run of the block.
  """
  (code,) = documents.python_blocks(
      (documents.ROOT / 'docs/studies.md').read_text())
  assert len(code.code.splitlines()) <= 25
  (run.folder / 'my_study.py').write_text(documents.shorten(code.code))
  assert 'Do reflected blocks' in run('study', '--import=my_study')
  begun = processes.run_python('-c', textwrap.dedent("""
      import my_study
      from tf_resflow.experiments import study_log
      from tf_resflow.specs import registries
      study = registries.STUDIES.get('reflected')
      study_log.StudyLog('study.jsonl', 'reflected', study)
      """), cwd=run.folder, env={'PYTHONPATH': str(processes.ROOT)})
  assert begun.returncode == 0, begun.stderr
  trial = run('study', 'reflected', '--import=my_study', '--workdir=.',
              '--task=tune-rings-reflected-0.01-0')
  assert 'nats' in json.loads(trial.splitlines()[-1])
