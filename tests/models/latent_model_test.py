"""Keras predicts latents, and does not export them."""

import numpy as np

from tests import flows
from tests import testing


def test_latents_are_predicted_and_not_exported(tmp_path):
  flow = flows.make_flow_without_blocks()
  x = np.random.default_rng(0).random([8, 4, 4, 1], np.float32)
  np.testing.assert_allclose(
      flow.predict(x, verbose=0), flow.encode(x), atol=1e-5)
  testing.check_refusals(flow.export, [(
      str(tmp_path / 'out'),
      f'export cannot be used with {flow.name}: Keras would export latents '
      'alone. Use tf_resflow.serving.export(flow, folder), or tf_resflow')])
  assert not list(tmp_path.iterdir())
