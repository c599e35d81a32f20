"""A process that trains is set up and quiet, unless one asks or it fails."""

import os

import pytest
import tensorflow as tf

from tests.commands import processes
from tf_resflow.commands import startup
from tf_resflow.numerics import parallel
from tf_resflow.specs import machine


def test_threads_that_cannot_be_set(monkeypatch, caplog):
  """They need not be where XLA divides its operations by itself."""
  def fail():
    raise RuntimeError('TensorFlow runs')

  monkeypatch.setattr(
      tf.config.optimizer, 'set_experimental_options', lambda options: None)
  monkeypatch.setattr(parallel, 'give_operations_one_thread', fail)
  startup.set_up_training(jit_compile=True)
  assert not caplog.text
  startup.set_up_training()
  assert 'keeps its threads' in caplog.text


_TRAIN = """
import sys
sys.path.insert(0, sys.argv[1])
from tf_resflow.commands import runner
from tf_resflow.commands import train

def main(*_):
  import tensorflow as tf
  from tf_resflow import numerics
  print('mine', file=sys.stderr)
  tf.get_logger().warning('a value that a checkpoint lacks')
  tf.function(lambda x: x + 1.0, jit_compile=True)(tf.ones([2]))
  print(tf.config.optimizer.get_experimental_options(),
        tf.config.threading.get_intra_op_parallelism_threads(),
        numerics.parallel.num_parallel())

train.main = main
sys.exit(runner.run('train', sys.argv[2:]))
"""


def _train(**options):
  return processes.run_python(
      '-c', _TRAIN, str(processes.ROOT), '--flagfile=2d', '--workdir=new',
      **options)


@pytest.mark.slow
def test_a_process_that_trains_is_set_up_and_quiet():
  """Also of the lines before logging starts, and of devices and compilers."""
  process = _train()
  assert (process.returncode, process.stderr) == (0, 'mine\n')
  assert "'disable_meta_optimizer': True" in process.stdout
  assert process.stdout.strip().endswith(f' 1 {machine.num_cores()}')


@pytest.mark.slow
def test_tensorflow_is_shown_where_asked_for():
  """Its start-up lines are the user's only then."""
  process = _train(env={'TF_CPP_MIN_LOG_LEVEL': '0'})
  assert process.returncode == 0
  assert len(process.stderr.splitlines()) > 1


def test_a_failure_shows_what_was_held_back(capfd):
  with pytest.raises(ImportError, match='broken'):
    with startup._held_back_stderr():
      os.write(2, b'from the library\n')
      raise ImportError('broken')
  with startup._held_back_stderr():
    os.write(2, b'dropped\n')
  os.write(2, b'shown\n')
  assert capfd.readouterr().err == 'from the library\nshown\n'
