"""Fixtures of the data set tests."""

import pytest


@pytest.fixture(scope='session')
def embedded_dir(tmp_path_factory):
  """A folder in which the embedded sets are prepared once."""
  return tmp_path_factory.mktemp('data') / 'not' / 'yet' / 'there'
