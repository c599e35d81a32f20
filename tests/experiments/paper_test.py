"""The studies of the package: their settings suit, and what they ask."""

import pytest

from tf_resflow.specs import registries


@pytest.mark.parametrize('name', registries.STUDIES.names())
def test_settings_of_all_cases_suit_all_workloads(name):
  study = registries.STUDIES.get(name)
  study.check()
  # Cases differ in what is asked alone.
  first, *others = (study.make_config(task, {}).values() for task in
                    study._times({}) if task.workload == study.tuning
                    and task.seed == 0)
  assert len(others) == len(study.cases) - 1
  for other in others:
    assert {name for name in first if first.get(name) != other.get(name)} & {
        'activation', 'block', 'estimator', 'norms'}
