"""A small hybrid model, exported once, and processes that only have that."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import serving
from tf_resflow.numerics import random

_CLIENT = pathlib.Path(__file__).with_name('client.py')
_CONFIG = models.ResidualFlowConfig(
    image_shape=(8, 8, 1), num_levels=17, num_blocks=(1,), hidden_channels=4,
    kernel_sizes=(3, 3), num_dense_blocks=1, dense_hidden_units=5,
    num_classes=3, head_channels=4)


def _make_model(**changes):
  """Returns an initialised model whose kernels exceed their bound."""
  model = dataclasses.replace(_CONFIG, **changes).build()
  for layer in model.constrained_layers:
    layer.kernel.assign(4.0 * layer.kernel)
  rng = np.random.default_rng(0)
  model.initialize(tf.constant(rng.random([16, 8, 8, 1])))
  return model


@pytest.fixture(scope='module')
def small_model():
  """A model of one block, without classes."""
  return _make_model(num_dense_blocks=0, num_classes=0)


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
  """Signatures of the exported model, loaded in this process."""
  return tf.saved_model.load(exported).signatures


@pytest.fixture(scope='session')
def images():
  """All levels occur."""
  rng = np.random.default_rng(1)
  return rng.permutation(np.arange(5 * 64) % 17).reshape([5, 8, 8, 1]).astype(
      np.uint8)


@pytest.fixture(scope='session')
def expected_log_prob():
  """Returns a function of a model and images, on noise drawn beside it."""

  def log_prob(model, images, seed, condition=None, estimator=None):
    noise = tf.random.stateless_uniform(
        images.shape, random.fold_in(seed, 0).values)
    x = datasets.dequantize(images, noise, model.num_levels)
    return model.log_prob(
        x, condition, seed=random.fold_in(seed, 1), estimator=estimator).numpy()

  return log_prob


@pytest.fixture(scope='session')
def ask(tmp_path_factory):
  """Returns `ask(requests)`: the replies of a new process, by names.

  Requests are folders, signatures and inputs; replies are messages of errors,
  or dicts of arrays.
  """

  def run(requests):
    bodies = [(str(folder), {'signature_name': name, 'inputs': {
        key: np.asarray(value).tolist() for key, value in inputs.items()}})
              for folder, name, inputs in requests.values()]
    process = subprocess.run(
        [sys.executable, '-I', str(_CLIENT)],
        cwd=tmp_path_factory.mktemp('elsewhere'),
        input=json.dumps(bodies), capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    # Nothing to tell a Python user.
    assert 'custom gradients' not in process.stderr
    return {
        name: reply.get('error') or {
            key: np.asarray(value) for key, value in reply['outputs'].items()}
        for name, reply in zip(
            requests, json.loads(process.stdout), strict=True)}

  return run
