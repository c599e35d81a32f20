"""The studies of the package: their settings suit, and what they ask."""

import pytest

from tf_resflow.experiments import study as study_lib
from tf_resflow.experiments import tables
from tf_resflow.specs import registries


@pytest.mark.parametrize('name', registries.STUDIES.names())
def test_settings_of_all_cases_suit_all_workloads(name, monkeypatch):
  # With fewer rows than it has.
  monkeypatch.setitem(
      tables.TABLES, 'sixty', tables._drawn(tables._smooth, 8, 900, 60))
  study = registries.STUDIES.get(name)
  study.check()
  # Cases differ in what is asked alone.
  first, *others = (
      study.make_config(study_lib.Task('time', study.tuning, case), {}).values()
      for case in study.flows)
  for other in others:
    assert {name for name in first if first.get(name) != other.get(name)} & {
        'activation', 'block', 'dequantization', 'estimator', 'network',
        'norms'}
