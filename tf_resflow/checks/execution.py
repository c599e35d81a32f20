"""Traced functions, precisions, seeds, and numbers of traces."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import private_apis
from tf_resflow.checks import properties
from tf_resflow.checks import subjects
from tf_resflow.checks.subjects import all_close
from tf_resflow.checks.subjects import close
from tf_resflow.checks.subjects import require
from tf_resflow.checks.subjects import Subject

# The second size has the graph that all others share.
_FIRST_SIZES, _OTHER_SIZES = [3, 5], [6, 7, 9]


def _require_alike(subject, tolerance, **options):
  """Compares a function of batches of unknown size with eager calls."""
  made, x = subject.of('float32')
  inputs, eager = made.inputs(x), subject.outputs('float32')
  traced = subjects.traced(subjects.both_directions, made, inputs, **options)
  all_close('a traced output', traced(**inputs), eager, tolerance)
  # Examples one by one, through the same trace: values, not what is drawn by
  # the place in a batch, as augmentations do.
  num_ones = 1 if made.kind == properties.OTHER else len(x)
  ones = [traced(**{name: t[i:i + 1] for name, t in inputs.items()})
          for i in range(num_ones)]
  require(all(len(t) == 1 for one in ones for t in one),
          f'a batch of one has the shapes {[t.shape for t in ones[0]]}')
  for k in (0, -1) if made.kind in properties.INVERTIBLE else (0,):
    close('a traced output of one example', np.concatenate(
        [one[k] for one in ones]), eager[k][:num_ones], tolerance, tolerance)


@properties.check(*properties.KINDS)
def traced_equals_eager_for_an_unknown_batch_size(subject: Subject) -> None:
  """A tf.function of batches of any size computes what eager calls do.

  So each output is that of its own example and condition alone.
  """
  _require_alike(subject, 1e-5)


@properties.check(properties.LIPSCHITZ, properties.BIJECTION)
def compiles_with_xla_for_an_unknown_batch_size(subject: Subject) -> None:
  """jit_compile=True changes no output and no inverse."""
  # XLA drops assertions: what did not converge would be NaN.
  _require_alike(subject, 1e-4, jit_compile=True)


@properties.check(*properties.KINDS)
def outputs_and_variables_have_the_dtype(subject: Subject) -> None:
  """All are of the precision that is asked for, and finite."""
  for dtype in ('float32', 'float64'):
    for output in subject.outputs(dtype):
      require(output.dtype == dtype and np.all(np.isfinite(output)),
              f'an output is {output.dtype}, asked for {dtype}, or not finite')
    found = [v.dtype for v in subject.of(dtype)[0].layer.trainable_variables]
    require(bool(found) == subject.case.has_variables and {*found} <= {dtype},
            f'trainable variables are {found}, asked for {dtype}')


@properties.check(*properties.KINDS, needs='is_random')
def seeds_decide_what_is_drawn(subject: Subject) -> None:
  """Equal seeds give equal log-determinants, others and none give new ones."""
  made, x = subject.of('float32')
  # Without a seed, draws follow TensorFlow's own. Several of them, since a
  # diagonal Jacobian leaves only the number of terms to chance.
  tf.random.set_seed(1)
  log_dets = [
      subjects.evaluate(made, tf.identity(x), seed)[1].numpy()
      for seed in (1, 1, 2, *[None] * 5)]
  close('log_det at the same seed', log_dets[0], log_dets[1])
  require(not np.array_equal(log_dets[0], log_dets[2]),
          'log_det does not depend on the seed')
  require(len(np.unique(log_dets[3:], axis=0)) > 1,
          'log_det is the same at every call without a seed')


def require_no_more_graphs(function: Callable[[int], Any]) -> None:
  """Raises `CheckFailedError` if a function of a size traces beyond two."""
  for size in _FIRST_SIZES:
    function(size)
  with private_apis.count_graphs() as graphs:
    for size in _OTHER_SIZES:
      function(size)
  require(not graphs, f'batches of {_OTHER_SIZES} made {len(graphs)} graphs')


@properties.check(*properties.KINDS)
def eager_calls_of_all_sizes_share_their_graphs(subject: Subject) -> None:
  """Calls with ever new batch sizes trace no more than twice."""
  made, _ = subject.of('float32')

  def use(size):
    """Passes in both directions, and a training step without the update."""
    x = subject.case.inputs(batch_size=size)
    subjects.results(made, x)
    subjects.differentiate(subjects.loss, made, x)

  require_no_more_graphs(use)
