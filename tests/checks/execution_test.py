"""Defects of traced functions and seeds that the checks find."""

import pytest
import tensorflow as tf

from tests.checks import planted
from tf_resflow.checks import execution
from tf_resflow.checks import subjects

test_defects = planted.defects_of(execution)


def test_counts_every_graph():
  function = tf.function(lambda x: x + 1.0)
  with pytest.raises(
      subjects.CheckFailedError, match=r'\[6, 7, 9\] made 3 graphs'):
    execution.require_no_more_graphs(lambda size: function(tf.ones([size])))
