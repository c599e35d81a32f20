"""What pages show of parts: the same rows, each once."""

import numpy as np
import pytest

from tf_resflow import configuration
from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.workflow import page_data


@pytest.mark.slow
def test_rows_scores_and_samples(tmp_path):
  config = configuration.make_config(
      dataset='2d/moons', num_blocks=1, hidden_units=(8,))
  training.workdir.create_workdir(
      str(tmp_path), config, config.model.build())
  flow = workflow.load(tmp_path)
  page = page_data.PageData(flow)
  test = flow.run.open('test').arrays['x'].numpy()
  used, scores = page.scores('test')
  assert len(used) == page_data.MAX_TESTED == len({*used.tolist()})
  np.testing.assert_allclose(scores, flow.score_samples(test[used]), rtol=1e-5)
  x, condition = page.part('test')
  assert condition is None and len(x) == 5000
  samples = page.draw(len(x))
  np.testing.assert_array_equal(samples, page.rows[1])
  distances = page.columns['KS distance'].to_numpy()
  assert distances[0] >= distances[1] > 0.0
  np.testing.assert_allclose(
      page.columns['of samples'], samples.mean()[page.columns.index])
