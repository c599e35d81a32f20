"""A small hybrid model, exported once, and processes that only have that."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import serving

_CLIENT = pathlib.Path(__file__).with_name('client.py')
_CONFIG = models.ResidualFlowConfig(
    image_shape=(8, 8, 1), num_levels=17, num_blocks=(1,), hidden_channels=4,
    kernel_sizes=(3, 3), num_dense_blocks=1, dense_hidden_units=5,
    num_classes=3, head_channels=4)
_ONE_BLOCK = {'num_dense_blocks': 0, 'num_classes': 0}


def _make_model(dtype='float32', **changes):
  """Returns an initialised model whose kernels exceed their bound."""
  model = dataclasses.replace(_CONFIG, **changes).build(dtype)
  for layer in model.constrained_layers:
    layer.kernel.assign(4.0 * layer.kernel)
  rng = np.random.default_rng(0)
  model.initialize(tf.constant(rng.random([16, 8, 8, 1])))
  return model


@pytest.fixture(scope='module')
def small_model():
  """A model of one block, without classes."""
  return _make_model(**_ONE_BLOCK)


@pytest.fixture(scope='module')
def small_model64():
  return _make_model('float64', **_ONE_BLOCK)


@pytest.fixture(scope='session')
def model():
  return _make_model()


@pytest.fixture(scope='session')
def estimator():
  return numerics.AdaptiveRoulette(0.02).per_example()


@pytest.fixture(scope='session')
def exported(model, estimator, tmp_path_factory):
  """Folder of the SavedModel, in a folder that had nothing else."""
  folder = tmp_path_factory.mktemp('served') / 'digits' / '1'
  assert serving.export(model, str(folder), estimator) == [
      'log_prob', 'sample', 'encode', 'decode', 'classify']
  return str(folder)


@pytest.fixture(scope='session')
def signatures(exported):
  """Those of the exported model, loaded in this process."""
  return tf.saved_model.load(exported).signatures


@pytest.fixture(scope='session')
def images():
  """All levels occur."""
  rng = np.random.default_rng(1)
  return rng.permutation(np.arange(5 * 64) % 17).reshape([5, 8, 8, 1]).astype(
      np.uint8)


@pytest.fixture(scope='session')
def ask(tmp_path_factory):
  """Returns `ask(pairs)`: replies of a new process to (folder, body) pairs."""

  def run(pairs):
    process = subprocess.run(
        [sys.executable, '-I', str(_CLIENT)],
        cwd=tmp_path_factory.mktemp('elsewhere'),
        input=json.dumps(pairs), capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    # Nothing to tell a Python user.
    assert 'custom gradients' not in process.stderr
    return json.loads(process.stdout)

  return run
