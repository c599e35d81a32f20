"""Importing a package loads nothing until something of it is used."""

import os
import pkgutil
import subprocess
import sys

import pytest

import tf_resflow

_PACKAGES = [f'tf_resflow.{info.name}'
          for info in pkgutil.iter_modules(tf_resflow.__path__) if info.ispkg]
_SCRIPT = f"""
import importlib, sys
before = set(sys.modules)
for name in {['tf_resflow', *_PACKAGES]}:
  importlib.import_module(name)
loaded = {{name.partition('.')[0] for name in set(sys.modules) - before}}
print(*loaded - sys.stdlib_module_names)
"""

_SAVE = """
from tf_resflow import layers, models
import keras
models.VectorFlowConfig(event_size=2, num_blocks=1).build().save('a.keras')
keras.Sequential([keras.Input([2]), layers.SpectralDense(3)]).save('b.keras')
"""
_LOAD = """
import {}
assert ('tensorflow' in sys.modules) == ('keras' in sys.modules)
import keras
for name in ('a', 'b'):
  model = keras.models.load_model(f'{{name}}.keras')
  print(type(model).__name__, model.count_params())
"""

# TensorFlow would load Keras itself, if it could.
_NUMERICS = """
import sys
import tf_resflow
sys.modules |= dict.fromkeys(['keras', 'tensorboard', 'tensorflow_probability'])
import tensorflow as tf
from tf_resflow import numerics
for name in numerics.__all__:
  getattr(numerics, name)
g = numerics.ResidualFunction(lambda weights, x: weights[0] * tf.tanh(x))
weights, x = [tf.constant(0.5)], tf.ones([3, 2])
for estimator in (numerics.Exact(), numerics.RussianRoulette()):
  with tf.GradientTape() as tape:
    tape.watch(weights)
    y, log_det = numerics.forward_and_log_det(g, weights, x, estimator, seed=0)
  assert tape.gradient(log_det, weights)[0] > 0.0
solution, _ = numerics.invert_residual(g, weights, y, numerics.Anderson())
print(abs(solution.x - x).numpy().max() < 1e-4)
"""


def run(script):
  process = subprocess.run(
      [sys.executable, '-c', script], capture_output=True, text=True,
      check=True, env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)})
  return process.stdout


def test_rooms_load_no_other_package():
  assert set(run(_SCRIPT).split()) == {'lazy_loader', 'tf_resflow'}


def test_numerics_needs_neither_keras_nor_tfp():
  assert run(_NUMERICS) == 'True\n'


@pytest.mark.slow
def test_keras_files_are_loaded_in_any_order_of_imports(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  run(_SAVE)
  first, second = (
      run(_LOAD.format(names)) for names in (
          'sys, tf_resflow', 'sys, keras, tf_resflow'))
  assert first == second
  assert [line.split()[0] for line in first.splitlines()] == [
      'VectorFlow', 'Sequential']
