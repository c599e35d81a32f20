"""What is done between steps is counted as often as it is done."""

import itertools

from tf_resflow import configuration
from tf_resflow.training import occasions as occasions_lib


def test_counts():
  """From every step on, against a walk through the run."""
  for every, at_end, step, num_steps in itertools.product(
      (0, 1, 3, 5, 40), (False, True), range(20), (1, 12, 15, 19)):
    occasion = occasions_lib.Occasion(every, at_end)
    assert occasion.count(step, num_steps) == sum(
        occasion.is_due(t, num_steps) for t in range(step + 1, num_steps + 1))


def test_when():
  assert [t for t in range(1, 11) if occasions_lib.Occasion(4).is_due(t, 10)
          ] == [4, 8]
  assert [t for t in range(1, 11) if occasions_lib.Occasion(4, True).is_due(
      t, 10)] == [4, 8, 10]


def test_of_a_run():
  config = configuration.make_config(
      evaluate_every=7, num_validation=20, sample_every=3, checkpoint_every=5)
  whole = {'validation': occasions_lib.Occasion(7),
           'samples': occasions_lib.Occasion(3, at_end=True),
           'checkpoints': occasions_lib.Occasion(5, at_end=True)}
  assert occasions_lib.occasions_of(config, True, True) == whole
  del whole['validation']
  assert occasions_lib.occasions_of(config, False, True) == whole
  del whole['samples']
  assert occasions_lib.occasions_of(config, False, False) == whole


def test_what_is_never_done_is_left_out():
  config = configuration.make_config(evaluate_every=0, sample_every=0)
  assert list(occasions_lib.occasions_of(config, True, True)) == ['checkpoints']
