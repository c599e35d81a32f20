"""Durations as text, at the limits of their units."""

import pytest

from tf_resflow import training


@pytest.mark.parametrize('seconds, expected', [
    (0.00123, '0.00123 s'), (59.94, '59.9 s'), (59.96, '1 min 00 s'),
    (3599.6, '1 h 00 min'), (86371, '1 d 00 h'), (100000, '1 d 04 h')])
def test_text(seconds, expected):
  assert training.format_duration(seconds) == expected
