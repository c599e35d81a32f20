"""The flows that come with the package have the figures of their reports."""

import numpy as np
import pytest
from sklearn import datasets

from tests import testing
from tf_resflow import workflow
from tf_resflow.workflow import presets


@pytest.mark.slow
def test_figures_of_images_are_those_of_the_test_part():
  flow = workflow.load('preset:digits')
  results = workflow.evaluate(
      flow, 'test', certify=False, num_reconstructions=8)
  assert results.numbers['bits_per_dim'] == pytest.approx(
      flow.run.report['bits_per_dim'], abs=2e-3)


@pytest.mark.parametrize('name', ['moons', 'rings'])
def test_densities_of_points(name):
  """Of the first 2,000 test points, whose mean has a larger error."""
  flow = workflow.load(f'preset:{name}')
  log_prob = flow.log_prob(flow.run.open('test').arrays['x'][:2000])
  error = np.std(log_prob) / 2000**0.5
  assert -np.mean(log_prob) == pytest.approx(
      flow.run.report['nats'], abs=4.0 * error)


def test_a_table_without_its_rows():
  frame = datasets.load_breast_cancer(as_frame=True).data.iloc[:, :10]
  flow = workflow.load('preset:cancer')
  assert -np.mean(flow.score_samples(frame[-114:])) == pytest.approx(
      flow.run.report['nats'], abs=1e-3)
  assert list(flow.sample_frame(3, seed=0).columns) == list(frame.columns)
  new = frame[:100] * 1.001  # A row that it knows has no p-value.
  new.loc[7, 'mean area'] *= 10
  found = workflow.score(flow, new, fdr=0.3).frame()
  assert found['p_value'][7] == pytest.approx(1 / 115)


def test_names():
  assert presets.names() == ['cancer', 'digits', 'moons', 'rings']
  testing.check_refusals(workflow.load, [
      ('preset:mnist', 'workdir=preset:mnist: expected preset:cancer, '
       'preset:digits, ')])


def test_they_are_small():
  files = [path for path in presets.FOLDER.glob('**/*') if path.is_file()]
  assert sum(path.stat().st_size for path in files) < 2e6
