"""Two logical CPU devices for the tests of replicas; digits; the tools.

And little memory: graphs are forgotten after the file, or the case of the
conformance tests, that made them.
"""

from collections.abc import Callable
import gc
import os
from typing import NamedTuple

from absl import logging
import pytest

from tests import graphs
from tf_resflow.commands import runner

NUM_LOGICAL_CPUS = 2
# Folders of what runs in programs that let TensorFlow rewrite graphs.
_REWRITING = ('bijectors', 'evaluation', 'experiments', 'serving', 'tfp')


def pytest_configure(config):
  """Makes the devices, which are fixed when TensorFlow starts.

  So this must run before any test module makes a tensor. Linear algebra has one
  thread in the processes that this one starts: as many as cores in each wait
  for each other.
  """
  for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
    os.environ.setdefault(name, '1')
  if config.getoption('numprocesses', None) and not hasattr(
      config, 'workerinput'):
    return  # This process runs no test, it hands them to others.
  import tensorflow as tf

  tf.config.set_logical_device_configuration(
      tf.config.list_physical_devices('CPU')[0],
      [tf.config.LogicalDeviceConfiguration()] * NUM_LOGICAL_CPUS)


def pytest_collection_finish(session):
  """What the imports made stays: the collector need not look at it again.

  Raises:
    pytest.UsageError: if pytest-xdist would tear the tests of a case apart.
  """
  if getattr(session.config.option, 'loadgroup', False) and not all(
      '@' in item.nodeid for item in session.items):
    raise pytest.UsageError(
        'pytest-xdist does not know the groups of tests with this pytest: take '
        'the versions of setup.py.')
  gc.collect()
  gc.freeze()
  # `graphs.forget` looks at all objects, where it is worth a second.
  gc.set_threshold(*gc.get_threshold()[:2], 200)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
  """TensorFlow rewrites graphs before it runs them in some folders alone.

  `bin/train` leaves them as they are, and a test that runs a graph once waits
  longer for the rewriting than for the result. A hook, since fixtures of the
  session come before those of a module, whatever ran before.
  """
  import tensorflow as tf

  tf.config.optimizer.set_experimental_options({
      'disable_meta_optimizer': item.path.parent.name not in _REWRITING})


def _group(item):
  """What a test shares a process with: its case or its file."""
  return item.get_closest_marker('xdist_group').args[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
  """Hands the tests of a case, or else those of a file, to one process.

  The cases, which are many and short, come last: so both processes end at once.
  """
  for item in items:
    if not item.get_closest_marker('xdist_group'):
      item.add_marker(pytest.mark.xdist_group(
          str(item.path.relative_to(item.config.rootpath))))
  items.sort(key=lambda item: item.path.parent.name == 'conformance')


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
  """Forgets graphs after the last test of a file or of a case."""
  result = yield
  if nextitem is None or _group(nextitem) != _group(item):
    graphs.forget(item.module)
  return result


@pytest.fixture(scope='session')
def data_dir(tmp_path_factory):
  """A folder of data, which the built-in data sets do not need."""
  return str(tmp_path_factory.mktemp('data'))


@pytest.fixture
def two_cores(monkeypatch):
  """Divides what is traced now between two cores, as training does."""
  monkeypatch.setenv('TF_NUM_INTRAOP_THREADS', '1')
  monkeypatch.setenv('TF_NUM_INTEROP_THREADS', '2')


class Result(NamedTuple):
  """What a tool returned and wrote."""

  status: int
  stdout: str
  stderr: str


@pytest.fixture
def run_tool(capsys) -> Callable[..., Result]:
  """Returns `run_tool(name, *arguments)`: a tool without a new process."""

  def run(name, *arguments):
    capsys.readouterr()
    verbosity = logging.get_verbosity()
    try:
      status = runner.run(name, [str(argument) for argument in arguments])
    finally:
      logging.set_verbosity(verbosity)
    return Result(status, *capsys.readouterr())

  return run
