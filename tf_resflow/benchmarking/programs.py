"""Exports a training step as an XLA program, to run it without TensorFlow.

The program is written for GPUs, see `layers.LipschitzLayer.target_device`: with
ordinary convolutions, and without splitting batches.
"""

import re
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import private_apis
from tf_resflow.benchmarking import tasks
from tf_resflow.training import files
from tf_resflow.training import learner as learner_lib

_DEVICE = 'GPU'
# Arguments of `main` in a StableHLO program; scalars have no sizes.
_ARGUMENT = re.compile(r'%arg\d+: tensor<((?:\d+x)*)\w+>')


class NoProgramError(errors.ExpectedError):
  """XLA cannot compile a training step."""


class Program(NamedTuple):
  """The gradients of a training step as one XLA program.

  Its outputs are the first metric of the objective, bits/dim of images, and the
  gradients of its loss with respect to the trainable variables, without those
  that are constant.

  Attributes:
    text: StableHLO.
    arguments: arrays in the order of the program: the step, the fields of the
      batch, and the captured variables: weights, and the vectors that power
      iterations start from.
    function: the compiled `tf.function`, without arguments.
    metric_name: of the first output.
  """

  text: str
  arguments: list[np.ndarray]
  function: Any
  metric_name: str
  num_parameters: int


def shapes_of(text: str) -> list[tuple[int, ...]]:
  """Returns the shapes of the arguments of a StableHLO program."""
  main = text[text.index(' @main('):]
  return [tuple(map(int, sizes.split('x')[:-1])) for sizes in
          _ARGUMENT.findall(main[:main.index(' -> ')])]


def make_program(settings: tasks.Settings) -> Program:
  """Compiles the gradients of a training step of a freshly initialised model.

  The program is `models.TrainStep.gradients`: a step without clipping,
  the optimizer and the averages. Random numbers of terms are those of step 0.

  Raises:
    NoProgramError: if a step has an operation that XLA does not support, such
      as the determinant of `numerics.Exact`.
  """
  config = settings.config.replace(strategy='single')
  learner = learner_lib.Learner(config)
  for layer in private_apis.sublayers(learner.model):
    if isinstance(layer, layers.LipschitzLayer):
      layer.target_device = _DEVICE
  batch = settings.first_batch(learner)
  metric_name = learner.objective.metric_names[0]
  names = [name for name, t in batch._asdict().items() if t is not None]

  @tf.function(autograph=False, jit_compile=True)
  def gradients(step, *tensors):
    metrics, values = learner.train_step.gradients(
        models.Batch(**dict(zip(names, tensors, strict=True))), step)
    return metrics[metric_name], *values

  arguments = [tf.constant(0, tf.int64), *(getattr(batch, n) for n in names)]
  try:
    text = gradients.experimental_get_compiler_ir(*arguments)(stage='stablehlo')
  except ValueError as error:
    raise NoProgramError(
        'XLA cannot compile this training step: '
        f'{files.first_line(error)}.') from error
  concrete = gradients.get_concrete_function(*arguments)
  variables = {id(v.handle): v for v in concrete.graph.variables}
  values = [variables.get(id(tensor), tensor).numpy()
            for tensor in (*arguments, *concrete.captured_inputs)]
  shapes = [value.shape for value in values]
  errors.check(
      shapes_of(text) == shapes, problem='XLA takes arguments '
      f'{shapes_of(text)} where TensorFlow has {shapes}')
  return Program(
      text, values, lambda: gradients(*arguments), metric_name,
      learner.model.num_parameters)


def write_program(settings: tasks.Settings, prefix: str) -> dict[str, Any]:
  """Writes a program to PREFIX.mlir and PREFIX.npz, and returns a report.

  The files are replaced.

  Returns:
    A dict for JSON: reference values for a run elsewhere, the first metric by
    its name and `gradient_norm`, of the same program compiled by TensorFlow
    here; and the sizes of the program.
  """
  program = make_program(settings)
  files.write_text(f'{prefix}.mlir', program.text)
  np.savez(f'{prefix}.npz', *program.arguments)
  first, *gradients = program.function()
  estimator = numerics.Estimator.get(
      settings.config.model.training_estimator())
  return {
      'program': f'{prefix}.mlir', 'arguments': f'{prefix}.npz',
      'batch_size': settings.config.optimizer.batch_size,
      'accumulation_steps': settings.config.optimizer.accumulation_steps,
      'estimator': estimator and estimator.spec(),
      'num_parameters': program.num_parameters,
      'num_arguments': len(program.arguments),
      'num_outputs': 1 + len(gradients),
      'text_bytes': len(program.text.encode()),
      'arguments_bytes': sum(a.nbytes for a in program.arguments),
      'target_device': _DEVICE,
      program.metric_name: float(first),
      'gradient_norm': float(np.sqrt(sum(
          np.sum(np.square(g, dtype=np.float64)) for g in gradients)))}
