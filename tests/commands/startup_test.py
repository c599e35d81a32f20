"""TensorFlow's start-up lines are the user's only if asked for."""

import os
import subprocess
import sys

import pytest

from tests.commands import processes

_LOAD = """
import sys
sys.path.insert(0, sys.argv[1])
from tf_resflow.commands import startup
startup.load_tensorflow(show_log=bool(sys.argv[2:]))
print('mine', file=sys.stderr)
import tensorflow as tf
tf.function(lambda x: x + 1.0, jit_compile=True)(tf.ones([2]))
"""


def _run(script, *arguments, **env):
  kept = {k: v for k, v in os.environ.items() if k != 'TF_CPP_MIN_LOG_LEVEL'}
  return subprocess.run(
      [sys.executable, '-c', script, str(processes.ROOT), *arguments],
      capture_output=True, text=True, check=False, env=kept | env)


def test_quiet():
  """Also of the lines before logging starts, and of devices and compilers."""
  process = _run(_LOAD)
  assert (process.returncode, process.stderr) == (0, 'mine\n')


@pytest.mark.parametrize(('arguments', 'env'), [
    (['show'], {}), ([], {'TF_CPP_MIN_LOG_LEVEL': '0'})])
def test_shown_where_asked_for(arguments, env):
  process = _run(_LOAD, *arguments, **env)
  assert process.returncode == 0
  assert len(process.stderr.splitlines()) > 1


_FAIL = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tf_resflow.commands import startup
with startup._held_back_stderr():
  os.write(2, b'from the library\\n')
  raise ImportError('broken')
"""


def test_a_failure_shows_what_was_held_back():
  process = _run(_FAIL)
  assert process.returncode == 1
  assert process.stderr.startswith('from the library\n')
  assert 'ImportError: broken' in process.stderr
