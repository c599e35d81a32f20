"""A training step as a program of XLA, for a machine without TensorFlow.

It is written as a GPU takes it, see `layers.LipschitzLayer.computes_for`:
convolutions are convolutions, and a batch is one piece.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import training
from tf_resflow.benchmarking import compiled_counts
from tf_resflow.benchmarking import operations
from tf_resflow.benchmarking import program_counts
from tf_resflow.benchmarking import tasks
from tf_resflow.numerics.log_det import series
from tf_resflow.training import files

_DEVICE = 'GPU'
# Elements of StableHLO's types as TensorFlow calls them.
_DTYPES = {
    'f32': tf.float32, 'f64': tf.float64, 'i32': tf.int32, 'i64': tf.int64,
    'ui32': tf.uint32, 'ui64': tf.uint64, 'i1': tf.bool}


class NoProgramError(errors.ExpectedError):
  """XLA has no program of a training step."""


class Program(NamedTuple):
  """The gradients of a training step as one program of XLA.

  Its outputs are the first metric of the objective, bits/dim of images, and the
  gradients of its loss in the trainable variables, without those that are
  constant.

  Attributes:
    text: StableHLO.
    arguments: arrays in the order that it takes them: the step, the fields of
      the batch, and what the function captured: weights, and the vectors that
      power iterations start from.
    function: the `tf.function` that it is the program of, of no arguments.
    compiler_ir: maps a stage, such as 'optimized_hlo', to its text.
    metric_name: of the first output.
    num_parameters: of the model.
  """

  text: str
  arguments: list[np.ndarray]
  function: Any
  compiler_ir: Any
  metric_name: str
  num_parameters: int


def _value(tensor, expected):
  """Returns what a function captured, as the argument of a type."""
  value = tensor.numpy() if tensor.dtype != tf.resource else (
      tf.raw_ops.ReadVariableOp(
          resource=tensor, dtype=_DTYPES[expected.element]).numpy())
  # Or the program would take its arguments in another order.
  errors.check_format(
      (value.shape, _DTYPES[expected.element].as_numpy_dtype) == (
          expected.shape, value.dtype.type),
      f'XLA takes {expected} where TensorFlow has {value.dtype} '
      f'{list(value.shape)}')
  return value


def make_program(settings: tasks.Settings) -> Program:
  """Compiles the gradients of a training step of a freshly initialised model.

  What `training.step.TrainStep.gradients` computes, which is all of a step but
  clipping, the optimizer and the averages. The number of terms of a series that
  is drawn is that of step 0.

  Args:
    settings: the run whose step it is.

  Raises:
    NoProgramError: if a step has an operation that XLA does not know, such as
      the determinant of `numerics.Exact`.
  """
  config = settings.config.replace(strategy='single')
  learner, batch = tasks.make_learner(
      tasks.Settings(config, images=settings.images, seed=settings.seed),
      config.optimizer.batch_size * config.optimizer.accumulation_steps,
      _DEVICE)
  metric_name = learner.objective.metric_names[0]
  names = [name for name, t in batch._asdict().items() if t is not None]

  @tf.function(autograph=False, jit_compile=True)
  def gradients(step, *tensors):
    metrics, values = learner.train_step.gradients(
        training.Batch(**dict(zip(names, tensors, strict=True))), step)
    return metrics[metric_name], *values

  arguments = [tf.constant(0, tf.int64), *(getattr(batch, n) for n in names)]
  compiler_ir = gradients.experimental_get_compiler_ir(*arguments)
  try:
    text = compiler_ir(stage='stablehlo')
  except ValueError as error:
    raise NoProgramError(
        'XLA cannot compile this training step: '
        f'{files.first_line(error)}.') from error
  captured = gradients.get_concrete_function(*arguments).captured_inputs
  values = [_value(tensor, expected) for tensor, expected in zip(
      [*arguments, *captured], program_counts.arguments_of(text), strict=True)]
  return Program(
      text, values, lambda: gradients(*arguments), compiler_ir, metric_name,
      learner.model.num_parameters)


def write_program(settings: tasks.Settings, prefix: str) -> dict[str, Any]:
  """Writes a program to PREFIX.mlir and PREFIX.npz, and reports on it.

  Args:
    settings: the run whose step it is.
    prefix: of the files, which are replaced.

  Returns:
    A dict for JSON. What a run elsewhere has to find again: the first metric by
    its name, and `gradient_norm`, of the same program compiled by TensorFlow
    here. `stablehlo`, the counts of the program, loops once each; `per_term`,
    what one more term of all series adds, None where there are none;
    `optimized_hlo`, counts of what XLA made of it for the device
    `optimized_for`.

  Raises:
    NoProgramError: see `make_program`.
    OSError: if a file cannot be written.
  """
  program = make_program(settings)
  files.write_text(f'{prefix}.mlir', program.text)
  np.savez(f'{prefix}.npz', *program.arguments)
  counts = program_counts.count_stablehlo(program.text)
  per_term = counts.loops_named(series.LOOP_NAME)
  first, *others = program.function()
  estimator = operations.estimator_of(settings.config)
  return {
      'program': f'{prefix}.mlir', 'arguments': f'{prefix}.npz',
      'batch_size': settings.config.optimizer.batch_size,
      'accumulation_steps': settings.config.optimizer.accumulation_steps,
      'estimator': estimator and estimator.spec(),
      'num_parameters': program.num_parameters,
      'num_arguments': len(program.arguments),
      'num_outputs': program_counts.num_outputs_of(program.text),
      'text_bytes': len(program.text.encode()),
      'arguments_bytes': sum(a.nbytes for a in program.arguments),
      'computes_for': _DEVICE,
      program.metric_name: float(first),
      'gradient_norm': float(np.sqrt(sum(
          np.sum(np.square(g, dtype=np.float64)) for g in others))),
      'stablehlo': counts.report(),
      'per_term': per_term and per_term.report(),
      'optimized_for': 'GPU' if tf.config.list_logical_devices('GPU') else (
          'CPU'),
      'optimized_hlo': compiled_counts.count_optimized(
          program.compiler_ir(stage='optimized_hlo'))}
