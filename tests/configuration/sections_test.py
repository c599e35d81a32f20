"""What may change in a section when a run goes on; runs are in run_config_test.
"""

import dataclasses

from tf_resflow.configuration import sections


def test_only_endless_schedules_are_prolonged():
  for schedule, names in (('constant', []), ('cosine', ['num_steps'])):
    start = sections.OptimizerConfig(schedule=schedule)
    longer = dataclasses.replace(start, num_steps=5)
    assert list(longer.differences(start)) == names
