"""What is done between steps is counted as often as it is done."""

import itertools

import pytest

from tf_resflow import configuration
from tf_resflow.training import occasions as occasions_lib


@pytest.mark.parametrize('every, at_end', list(itertools.product(
    (0, 1, 3, 5, 40), (False, True))))
def test_counts(every, at_end):
  """From every step on, against a walk through the run."""
  occasion = occasions_lib.Occasion(every, at_end)
  for step, num_steps in itertools.product(range(20), (1, 12, 15, 19)):
    assert occasion.count(step, num_steps) == sum(
        occasion.is_due(t, num_steps) for t in range(step + 1, num_steps + 1))


def test_when():
  assert [t for t in range(1, 11) if occasions_lib.Occasion(4).is_due(t, 10)
          ] == [4, 8]
  assert [t for t in range(1, 11) if occasions_lib.Occasion(4, True).is_due(
      t, 10)] == [4, 8, 10]


@pytest.mark.parametrize('has_validation, has_samples', list(itertools.product(
    (False, True), repeat=2)))
def test_of_a_run(has_validation, has_samples):
  config = configuration.make_config(
      evaluate_every=7, num_validation=20, sample_every=3, checkpoint_every=5)
  expected = {'checkpoints': occasions_lib.Occasion(5, at_end=True)}
  if has_validation:
    expected['validation'] = occasions_lib.Occasion(7)
  if has_samples:
    expected['samples'] = occasions_lib.Occasion(3, at_end=True)
  assert occasions_lib.occasions_of(
      config, has_validation, has_samples) == expected


def test_what_is_never_done_is_left_out():
  config = configuration.make_config(evaluate_every=0, sample_every=0)
  assert list(occasions_lib.occasions_of(config, True, True)) == ['checkpoints']
