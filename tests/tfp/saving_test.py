"""Fitted densities, saved, and loaded where nothing is known of them."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import numerics

# Both files in another process, ten seconds.
pytestmark = pytest.mark.slow

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def make_density(seed, estimator):
  """A block behind ActNorm."""
  g = keras.Sequential([
      layers.SpectralDense(8, seed=seed), layers.LipSwish(),
      layers.SpectralDense(2, seed=seed + 5)])
  flow = bijectors.Chain([
      bijectors.ResidualBlock(g, event_shape=[2], estimator=estimator),
      bijectors.ActNorm([2])])
  return tfd.TransformedDistribution(
      tfd.MultivariateNormalDiag(tf.zeros(2)), tfb.Invert(flow))


def inputs(batch_size=5):
  rng = np.random.default_rng(0)
  return tf.constant(3.0 + 2.0 * rng.normal(size=[batch_size, 2]), tf.float32)


class Served(tf.Module):
  """The functions of a density that a SavedModel shall have."""

  def __init__(self, density, random_density):
    super().__init__()
    self.density = density
    self.random_density = random_density

  @tf.function(input_signature=[tf.TensorSpec([None, 2])])
  def log_prob(self, x):
    return self.density.log_prob(x)

  @tf.function(input_signature=[tf.TensorSpec([None, 2])])
  def random_log_prob(self, x):
    return self.random_density.log_prob(x)

  @tf.function(input_signature=[
      tf.TensorSpec([], tf.int32), tf.TensorSpec([2], tf.int32)])
  def sample(self, num_samples, seed):
    return self.density.sample(num_samples, seed=seed)


# Runs in another process, in the folder of the files.
_LOAD = """
import sys
import numpy as np
import tensorflow as tf

x = tf.constant(np.load('x.npy'))
served = tf.saved_model.load('model')
results = {
    'log_prob': served.log_prob(x), 'single': served.log_prob(x[:1]),
    'samples': served.sample(4, [1, 2]),
    'draws': [served.random_log_prob(x) for _ in range(4)]}
packages = {name.split('.')[0] for name in sys.modules}
assert not packages & {'tf_resflow', 'tensorflow_probability', 'tf_keras'}

from tests.tfp import saving_test
from tf_resflow import numerics

density = saving_test.make_density(50, numerics.Exact())
before = density.log_prob(x)
tf.train.Checkpoint(density=density).read('density').assert_consumed()
results |= {'before': before, 'restored': density.log_prob(x)}
np.savez('results.npz', **results)
"""


@pytest.fixture(scope='module', name='saved')
def saved_fixture(tmp_path_factory):
  """The density, and what another process computed from its files."""
  folder = tmp_path_factory.mktemp('saved')
  density = make_density(0, numerics.Exact())
  x = inputs()
  density.log_prob(x)  # Initialises ActNorm.
  np.save(folder / 'x.npy', x)
  tf.train.Checkpoint(density=density).write(str(folder / 'density'))
  served = Served(density, make_density(0, numerics.RussianRoulette()))
  tf.saved_model.save(served, str(folder / 'model'))
  process = subprocess.run(
      [sys.executable, '-c', _LOAD], cwd=folder, capture_output=True, text=True,
      check=False, env={'PYTHONPATH': str(_ROOT), 'TF_CPP_MIN_LOG_LEVEL': '3'})
  assert process.returncode == 0, process.stderr
  return density, np.load(folder / 'results.npz')


def test_saved_model_needs_no_code_of_ours(saved):
  density, results = saved
  x = inputs()
  expected = density.log_prob(x)
  np.testing.assert_allclose(results['log_prob'], expected, rtol=1e-5)
  np.testing.assert_allclose(results['single'], expected[:1], rtol=1e-5)
  np.testing.assert_allclose(
      results['samples'], density.sample(4, seed=[1, 2]), atol=1e-5)


def test_saved_model_draws_afresh(saved):
  _, results = saved
  assert len({draw.tobytes() for draw in results['draws']}) > 1
  assert np.all(np.isfinite(results['draws']))


def test_checkpoint_restores_the_density(saved):
  density, results = saved
  expected = density.log_prob(inputs())
  assert np.abs(results['before'] - expected).max() > 1e-2
  np.testing.assert_allclose(results['restored'], expected, rtol=1e-5)
