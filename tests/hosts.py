"""Processes that train a run, alone or several together, on this machine."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys

_ROOT = pathlib.Path(__file__).resolve().parents[1]

# A process that sends itself a signal right after the row of a step is written.
STOPPED = """
import os, sys
last_step, number, *arguments = sys.argv[1:]
from tf_resflow.commands import runner
from tf_resflow.commands import startup
startup.load_tensorflow()  # As the tool does.
startup.set_up_training()
from tf_resflow.training import metrics
def stopping(write):
  def write_and_stop(self, step, values):
    write(self, step, values)
    if step == int(last_step):
      os.kill(os.getpid(), int(number))
  return write_and_stop
for writer in metrics.MetricsWriter, metrics.NoMetricsWriter:
  writer.write = stopping(writer.write)
sys.exit(runner.run('train', arguments))
"""


def start(workdir, data_dir, *flags, stop=None, stderr=subprocess.PIPE):
  """Starts one process; later flags win.

  Args:
    workdir: folder of the run.
    data_dir: that of the data.
    *flags: further flags.
    stop: after which step it sends itself which signal.
    stderr: of the process.
  """
  return subprocess.Popen(
      [sys.executable, '-c', STOPPED, *map(str, stop or (-1, 0)),
       f'--workdir={workdir}', f'--data_dir={data_dir}', '--num_blocks=1,1',
       '--hidden_channels=8', '--num_dense_blocks=1', '--dense_hidden_units=8',
       '--log_every=1', '--sample_every=0', '--flip', *flags],
      cwd=_ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True,
      env=os.environ | {'TF_CPP_MIN_LOG_LEVEL': '3', 'PYTHONPATH': str(_ROOT)})


def start_all(workdir, data_dir, *flags, count=2, stop=None, **options):
  """Starts the processes of a run of 12 steps; the last one is stopped."""
  addresses = hosts(count)
  return [
      start(workdir, data_dir, '--batch_size=64', '--num_steps=12',
            '--warmup_steps=0', '--optimizer=sgd', '--learning_rate=0.02',
            '--clip_norm=0.4', '--checkpoint_every=4', '--num_validation=70',
            '--evaluate_every=6', '--keep_best', '--nocertify',
            '--estimator=roulette:poisson:2,exact=2', *(
                '--strategy=multi_worker', f'--worker_index={i}',
                f'--worker_hosts={",".join(addresses)}') * (count > 1),
            *flags, stop=stop if i == count - 1 else None, **options)
      for i in range(count)]


def hosts(count=2):
  """Returns free addresses."""
  with contextlib.ExitStack() as stack:
    found = []
    for _ in range(count):
      free = stack.enter_context(socket.socket())
      free.bind(('localhost', 0))
      found.append(f'localhost:{free.getsockname()[1]}')
  return found
