"""Orders of norms that are trained."""

import pytest

from tf_resflow.layers.lipschitz import learned_order


def test_an_order_is_2_at_first():
  order = learned_order.LearnedOrder(dtype='float64')
  order.build(())
  assert float(order.value()) == pytest.approx(2.0, abs=1e-15)
  assert [v.path for v in order.trainable_variables] == ['learned_order/raw']
  order.raw.assign(0.7)
  assert learned_order.present_order(order) == float(order.value()) > 2.0
  assert learned_order.present_order(1.5) == 1.5
