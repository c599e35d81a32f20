"""What a run does between its steps, and how often."""

from typing import NamedTuple

from tf_resflow import configuration

VALIDATION = 'validation'
SAMPLES = 'samples'
CHECKPOINTS = 'checkpoints'


class Occasion(NamedTuple):
  """When something is done.

  Attributes:
    every: number of steps from one time to the next; 0 for never.
    at_end: whether it is done after the last step as well, if ever.

  Example:
    >>> saving = Occasion(every=10, at_end=True)
    >>> [t for t in range(1, 26) if saving.is_due(t, 25)], saving.count(10, 25)
    ([10, 20, 25], 2)
  """

  every: int
  at_end: bool = False

  def is_due(self, step: int, num_steps: int) -> bool:
    """Whether it is done after a step of a run with so many steps."""
    return self.every > 0 and (
        step % self.every == 0 or self.at_end and step == num_steps)

  def count(self, step: int, num_steps: int) -> int:
    """Returns how many times it is done after steps later than `step`."""
    if self.every <= 0 or step >= num_steps:
      return 0
    is_extra = self.at_end and num_steps % self.every > 0
    return num_steps // self.every - step // self.every + is_extra


def occasions_of(
    config: configuration.Config, has_validation: bool, has_samples: bool
) -> dict[str, Occasion]:
  """Returns what is done between the steps of a run, without what never is.

  Args:
    config: of the run.
    has_validation: whether anything validates the run.
    has_samples: whether anything makes a picture of samples.
  """
  run = config.run
  occasions = {
      VALIDATION: Occasion(run.evaluate_every if has_validation else 0),
      SAMPLES: Occasion(run.sample_every if has_samples else 0, at_end=True),
      CHECKPOINTS: Occasion(run.checkpoint_every, at_end=True)}
  return {name: o for name, o in occasions.items() if o.every > 0}
