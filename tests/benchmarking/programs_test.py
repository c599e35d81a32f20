"""Programs of a training step: what they hold."""

import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow import private_apis
from tf_resflow.benchmarking import programs
from tf_resflow.training import learner as learner_lib

_SMALL = configuration.make_config(
    dataset='digits', num_blocks=(1,), hidden_channels=4, num_dense_blocks=0,
    batch_size=4, estimator='fixed:4')
_PLANE = configuration.make_config(
    dataset='2d/moons', num_blocks=1, hidden_units=(4,), batch_size=4,
    estimator='fixed:4')


def _program(config):
  return programs.make_program(benchmarking.tasks.Settings(config))


@pytest.fixture(scope='module', name='program')
def _module_program():
  return _program(_PLANE)


def _check_arguments(program, event_shape, size):
  assert [a.shape for a in program.arguments] == programs.shapes_of(
      program.text)
  # The step, the examples; then the weights among others.
  assert program.arguments[0] == 0
  assert program.arguments[1].shape == (size, *event_shape)
  assert sum(a.size for a in program.arguments[2:]) >= program.num_parameters


def test_arguments_are_those_that_the_program_takes(program):
  _check_arguments(program, (2,), 4)
  assert program.metric_name == 'nats'


@pytest.mark.slow
@pytest.mark.parametrize('changes', [
    {'hybrid': True, 'estimator': 'roulette:poisson:2,exact=2'},
    {'condition_on': ('label',), 'accumulation_steps': 2}])
def test_arguments_of_other_steps(changes):
  program = _program(_SMALL.replace(**changes))
  _check_arguments(program, (8, 8, 1), 4 * changes.get('accumulation_steps', 1))
  assert program.metric_name == 'bits_per_dim'


def test_operations_that_xla_does_not_know(tmp_path, monkeypatch):
  # Determinants are what they are elsewhere.
  monkeypatch.setattr(private_apis, 'is_compiled', lambda: False)
  path = tmp_path / 'own.csv'
  splits.write_table(
      path, 'abcd', np.random.default_rng(0).random([10, 4]))
  with pytest.raises(
      programs.NoProgramError, match='LogMatrixDeterminant') as e:
    _program(configuration.make_config(
        dataset=f'table:{path}', num_blocks=1, hidden_units=(4,),
        batch_size=4, estimator='exact'))
  assert len(str(e.value).splitlines()) == 1


@pytest.mark.slow
def test_it_is_the_step_that_training_takes(program):
  learner = learner_lib.Learner(_PLANE)
  batch = benchmarking.tasks.Settings(_PLANE).first_batch(learner)
  metrics, gradients = tf.function(
      learner.train_step.gradients, autograph=False)(
          batch, tf.constant(0, tf.int64))
  first, *others = program.function()
  np.testing.assert_allclose(first, metrics['nats'], rtol=1e-6)
  np.testing.assert_allclose(
      tf.linalg.global_norm(others), tf.linalg.global_norm(gradients),
      rtol=1e-4)


def test_it_is_made_for_gpus(monkeypatch):
  """No convolution by taps, no chunks of a batch; on a CPU there are both."""

  class Stop(Exception):
    """Before anything is traced."""

  def stop(settings, learner):
    raise Stop(learner)

  monkeypatch.setattr(benchmarking.tasks.Settings, 'first_batch', stop)
  config = _SMALL.replace(hidden_channels=64, batch_size=512)
  with pytest.raises(Stop) as info:
    _program(config)
  for learner, is_on_cpu in (
      (info.value.args[0], False), (learner_lib.Learner(config), True)):
    (block,) = learner.model.certified_bijections
    assert block.g.is_on_cpu is is_on_cpu
    assert (block._max_examples_at_a_time() is None) is not is_on_cpu


def test_the_files_are_all_that_a_run_needs(program, tmp_path, monkeypatch):
  """Run by an operation of TensorFlow that takes StableHLO."""
  xla = pytest.importorskip('tensorflow.compiler.tf2xla.ops.gen_xla_ops')
  prefix = str(tmp_path / 'step')
  monkeypatch.setattr(programs, 'make_program', lambda settings: program)
  report = programs.write_program(benchmarking.tasks.Settings(_PLANE), prefix)
  text = (tmp_path / 'step.mlir').read_text()
  with np.load(f'{prefix}.npz') as arrays:
    arguments = [arrays[f'arr_{i}'] for i in range(len(arrays.files))]
  size = report['num_outputs']

  @tf.function(autograph=False, jit_compile=True)
  def run(*tensors):
    return xla.xla_call_module(
        args=tensors, version=9, module=text, dim_args_spec=[],
        Sout=[None] * size, Tout=[tf.float32] * size, platforms=['CPU'])

  first, *gradients = run(*map(tf.constant, arguments))
  np.testing.assert_allclose(first, report['nats'], rtol=1e-6)
  np.testing.assert_allclose(
      tf.linalg.global_norm(gradients), report['gradient_norm'], rtol=1e-5)
  assert report['gradient_norm'] > 0.0
  assert report['text_bytes'] == len(text.encode())
  assert report['num_arguments'] == len(arguments)
  assert report['arguments_bytes'] == sum(a.nbytes for a in arguments)
  assert (report['batch_size'], report['estimator']) == (4, 'fixed:4')
