"""Bounds of one block beside what was measured."""

import pytest

from tf_resflow import models


def test_excess_of_estimated_bounds():
  bounds = [models.LipschitzReport(
      'a', 0.9, norm, None, (), bound_source=source)
            for norm, source in ((0.99, 'estimate'), (0.5, 'construction'),
                                 (None, 'construction'))]
  assert [bound.is_estimated for bound in bounds] == [True, False, False]
  assert [bound.excess for bound in bounds] == pytest.approx([0.1, 0.0, 0.0])
