"""Durations as text, at the limits of their units."""

import pytest

from tf_resflow import training


@pytest.mark.parametrize('seconds, expected', [
    (0, '0.00 s'), (0.00123, '0.00123 s'), (0.1238, '0.124 s'),
    (9.996, '10.0 s'),
    (59.94, '59.9 s'), (59.96, '1 min 00 s'), (60, '1 min 00 s'),
    (3599.4, '59 min 59 s'), (3599.6, '1 h 00 min'), (3725, '1 h 02 min'),
    (86369, '23 h 59 min'), (86371, '1 d 00 h'), (100000, '1 d 04 h'),
    (86400 * 2 - 1, '2 d 00 h'), (86400 * 1234.5, '1234 d 12 h')])
def test_text(seconds, expected):
  assert training.format_duration(seconds) == expected


def test_no_unit_reaches_the_next():
  """No text has 60 seconds or minutes, or 24 hours."""
  for tenths in range(0, 3 * 864000, 7):
    text = training.format_duration(tenths / 10)
    assert not text.startswith(('60', '24 h')) and ' 60 ' not in text, text
    assert not text.endswith(' 24 h'), text
