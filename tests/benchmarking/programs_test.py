"""Programs of a training step: what they hold, and JAX beside TensorFlow."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow.benchmarking import program_counts
from tf_resflow.benchmarking import programs
from tf_resflow.benchmarking import run_program
from tf_resflow.benchmarking import tasks

_CONFIG = configuration.make_config(
    dataset='digits', num_blocks=(1, 1), hidden_channels=16,
    num_dense_blocks=0, batch_size=16, estimator='fixed:4')
_SMALL = _CONFIG.replace(num_blocks=(1,), hidden_channels=4, batch_size=4)


def _program(config):
  return benchmarking.make_program(benchmarking.Settings(config))


def test_one_more_term_is_one_product_with_every_jacobian():
  """By the shapes of the layers, which know nothing of XLA."""
  counts = [program_counts.count_stablehlo(_program(config).text)
            for config in (_CONFIG, _CONFIG.replace(estimator='fixed:5'))]
  assert counts[0] == counts[1]
  works = [benchmarking.step_work(_CONFIG.model.build(), 16, n).operations
           for n in (4, 5)]
  series = counts[0].loops_named('log_det_series')
  assert series.operations == works[1] - works[0]
  assert series.convolutions == 6 and not series.dots
  # The rest of a step is 7 such products at most, and power iteration.
  assert 5.0 < counts[0].outside.operations / series.operations < 7.5
  assert counts[0].outside.custom_calls == {'Eigh': 12}


@pytest.mark.parametrize('changes', [
    {}, {'estimator': 'roulette:poisson:2,exact=2'},
    {'condition': ('label',)}, {'hybrid': True}, {'accumulation_steps': 2}])
def test_arguments_are_those_that_the_program_takes(changes):
  program = _program(_SMALL.replace(**changes))
  types = program_counts.arguments_of(program.text)
  assert [a.shape for a in program.arguments] == [t.shape for t in types]
  # The step, the images; then the weights among others.
  assert program.arguments[0] == 0
  size = 4 * changes.get('accumulation_steps', 1)
  assert program.arguments[1].shape == (size, 8, 8, 1)
  assert sum(a.size for a in program.arguments[2:]) >= program.num_parameters
  assert program.metric_name == 'bits_per_dim'


def test_operations_that_xla_does_not_know():
  with pytest.raises(
      programs.NoProgramError, match='LogMatrixDeterminant') as e:
    _program(_SMALL.replace(estimator='exact'))
  assert len(str(e.value).splitlines()) == 1


def test_it_is_the_step_that_training_takes():
  program = _program(_SMALL)
  learner, batch = tasks.make_learner(benchmarking.Settings(_SMALL), 4)
  metrics, gradients = learner.train_step.gradients(
      batch, tf.constant(0, tf.int64))
  first, *others = program.function()
  np.testing.assert_allclose(first, metrics['bits_per_dim'], rtol=1e-6)
  np.testing.assert_allclose(
      tf.linalg.global_norm(others), tf.linalg.global_norm(gradients),
      rtol=1e-4)


def test_it_is_made_for_gpus():
  """No convolution by taps, no chunks of a batch; on a CPU there are both."""
  config = _SMALL.replace(hidden_channels=64, batch_size=512)
  settings = benchmarking.Settings(config)
  text = _program(config).text
  assert 'feature_group_count = 9' not in text
  assert {name for name, _ in program_counts.count_stablehlo(text).loops} == {
      'power_iteration', 'log_det_series'}
  for computes_for, is_on_cpu in ((None, True), ('GPU', False)):
    learner, _ = tasks.make_learner(settings, 512, computes_for)
    (block,) = learner.model.certified_bijections
    assert block.g.is_on_cpu is is_on_cpu
    assert (block._max_examples_at_a_time() is None) is not is_on_cpu


@pytest.mark.slow
@pytest.mark.parametrize(
    'estimator', ['fixed:4', 'roulette:poisson:2,exact=2'])
def test_jax_finds_what_tensorflow_finds(tmp_path, estimator):
  """In a process that knows neither TensorFlow nor this package.

  Both bring a compiler for CPUs of their own, at versions of their own, so
  bits/dim, which were equal to the last digit, are held to 1e-6.
  """
  prefix = str(tmp_path / 'step')
  report = benchmarking.write_program(
      benchmarking.Settings(_CONFIG.replace(estimator=estimator)), prefix)
  process = subprocess.run(
      [sys.executable, '-I', run_program.__file__, prefix, '--repeats=1'],
      capture_output=True, text=True, check=False, cwd=tmp_path)
  assert process.returncode == 0, process.stderr
  found = json.loads(process.stdout.splitlines()[-1])
  np.testing.assert_allclose(
      found['first_output'], report['bits_per_dim'], rtol=1e-6)
  np.testing.assert_allclose(
      found['gradient_norm'], report['gradient_norm'], rtol=1e-5)
  assert report['gradient_norm'] > 0.0
  assert report['text_bytes'] == len((tmp_path / 'step.mlir').read_bytes())
  with np.load(f'{prefix}.npz') as arrays:
    assert len(arrays.files) == report['num_arguments']
  assert report['num_outputs'] == 24
  compiled = report['optimized_hlo']
  assert compiled['kernels'] > compiled['fusions'] > 0
  # Whatever is fused, a term keeps its products.
  assert compiled['loops']['log_det_series']['convolutions'] == (
      report['per_term']['convolutions'])
