"""Flows that several files of this folder use, made once for each file."""

import pytest

from tests.evaluation import conditional_flows


@pytest.fixture(scope='module')
def labelled():
  """A flow of images, given one of three labels."""
  return conditional_flows.make_labelled_flow()


@pytest.fixture(scope='module')
def labelled_split():
  """Eleven images, whose labels are conditions."""
  return conditional_flows.make_labelled_split()


@pytest.fixture(scope='module')
def vector64():
  """A flow of vectors, given two numbers, in float64."""
  return conditional_flows.make_vector_flow()
