"""Runs the tests in another order: none may need what an earlier one left.

    python -m pytest -p tests.shuffled --shuffle=3 -n 2 --dist loadgroup

Files and cases change places, and so do the tests within each.
"""

import random

import pytest


def pytest_addoption(parser):
  """Adds `--shuffle`."""
  parser.addoption('--shuffle', type=int, default=0, help='Seed of the order.')


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
  """Shuffles files or cases, then the tests of each; equal in all processes."""
  groups = {}
  for item in items:
    name = item.get_closest_marker('xdist_group').args[0]
    groups.setdefault(name, []).append(item)
  rng = random.Random(config.option.shuffle)
  names = list(groups)
  rng.shuffle(names)
  for name in names:
    rng.shuffle(groups[name])
  items[:] = [item for name in names for item in groups[name]]
