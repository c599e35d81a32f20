"""What a training step has to do, counted."""

from typing import NamedTuple

from tf_resflow import configuration
from tf_resflow import models
from tf_resflow import numerics


class StepWork(NamedTuple):
  """What a training step in the mode `recompute` has to do.

  In units of one evaluation of every `g` that is `n + 7` per image: forward `g`
  and `n` vector-Jacobian products; backward once more `g` and one product
  `J^T w`, and from each of the two the gradient in its input and in the
  kernels.

  Attributes:
    block_evaluations: their number over the blocks, whatever the batch.
    operations: multiplications and additions of the linear layers, zero padding
      included; activations and everything else are left out.
    hidden_entries: entries of the hidden layers of all these evaluations.
  """

  block_evaluations: int
  operations: int
  hidden_entries: int


def step_work(
    model: models.Flow, batch_size: int, num_terms: float) -> StepWork:
  """Returns the work of a training step.

  Args:
    model: a flow of blocks, without classifier.
    batch_size: images per step.
    num_terms: `n`, terms of the log-determinant.
  """
  evaluations = num_terms + 7
  blocks = [b.constrained_layers() for b in model.certified_bijections]
  operations = 2 * sum(m.num_multiply_adds for maps in blocks for m in maps)
  hidden = sum(m.num_outputs for maps in blocks for m in maps[:-1])
  return StepWork(
      len(blocks) * evaluations, operations * batch_size * evaluations,
      hidden * batch_size * evaluations)


def estimator_of(config: configuration.Config) -> numerics.Estimator | None:
  """Returns the estimator that a run trains with; None if it needs none."""
  spec = config.model.training_estimator()
  return None if spec is None else numerics.Estimator.get(spec)


def fixed_num_terms(config: configuration.Config) -> int | None:
  """Returns the number of series terms of every step of a run.

  None where steps differ, and where `step_work` does not count all of their
  work, which it does not for classifiers.
  """
  estimator = estimator_of(config)
  return estimator.num_terms if (
      estimator is not None and not config.objective.hybrid) else None
