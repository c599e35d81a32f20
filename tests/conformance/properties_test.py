"""Every property that `tf_resflow check` knows, of every case."""

import pytest
import tensorflow as tf

from tests import cases
from tests import conditional_cases
from tests.conformance import subjects
from tf_resflow.checks import gradients
from tf_resflow.checks import properties
from tf_resflow.checks import running

_KINDS = {
    properties.LIPSCHITZ: cases.LIPSCHITZ,
    properties.BIJECTION: cases.BIJECTIONS,
    properties.BIJECTOR: cases.BIJECTORS,
    properties.MODEL: cases.MODELS,
    properties.NETWORK: conditional_cases.NETWORKS,
    properties.OTHER: {**cases.CLASSIFIERS, **cases.AUGMENTATIONS,
                       **cases.BASES, **cases.AUGMENTED_MODELS}}
# Checks that compile, trace or repeat for seconds: of slow cases these alone
# have them.
_COMPILED = {
    'compiles_with_xla_for_an_unknown_batch_size': (
        'residual_conditional_exact', 'residual_cpila_dense'),
    'frozen_copies_compute_alike_and_nothing_moves_them': (
        'residual_block_learned', 'vector_flow_mixture'),
    'eager_calls_of_all_sizes_share_their_graphs': (),
    'mean_of_all_draws_is_the_log_det': (
        'residual_block_learned', 'residual_block_induced',
        'monotone_conditional')}
# Checks of gradients, draws and files: their parts, not whole slow models, have
# them, but for these.
_OF_SLOW_MODELS = {
    'gradients_are_central_differences': (
        'vector_flow_mixture', 'flow_densenet',
        'vector_flow_conditional_monotone'),
    'checkpoints_hold_everything': (
        'vector_flow_mixture', 'flow_squeeze_first'),
    'keras_files_hold_everything': ('vector_flow_mixture',),
    'seeds_decide_what_is_drawn': ('flow_conditional_residual',),
    'every_example_has_a_weight_of_its_own': ('vector_flow_mixture',)}
# Of blocks that only have another memory mode: it concerns gradients. Those of
# XLA are compared in tests/numerics/log_det/memory_modes_test.py.
_MEMORY_MODES = [
    name for name in cases.BIJECTIONS
    if name.endswith(('_naive', '_neumann', '_backward_in_forward'))]
_OF_MEMORY_MODES = (
    'gradients_reach_every_trainable_variable',
    'gradients_are_central_differences',
    'every_example_has_a_weight_of_its_own', 'configurations_hold_everything')
# Where a check takes seconds, with parts that have fast cases.
_SLOW = {
    'compiles_with_xla_for_an_unknown_batch_size': (
        'residual_conv', 'conditional_labels', 'monotone', 'induced_conv_upper',
        'learned_norms', 'concatenation', 'variational_dequantization'),
    'frozen_copies_compute_alike_and_nothing_moves_them': (
        'vector_flow_conditional_lu', 'monotone', 'variational_dequantization'),
    'keras_files_hold_everything': ('vector_flow_conditional_lu',),
    'eager_calls_of_all_sizes_share_their_graphs': (
        'sequence_mixed', 'bijector_residual', 'conditional_labels',
        'vector_flow', 'vector_flow_conditional_lu', 'monotone'),
    'gradients_are_central_differences': (
        'residual_conv', 'residual_neumann', 'residual_backward_in_forward',
        'residual_naive', 'learned_norms', 'flow_hybrid', 'flow_coupling',
        'vector_flow_conditional_lu'),
    'mean_of_all_draws_is_the_log_det': ('residual_conv',)}
# Where what they are made of has this check, and they would take seconds.
_BY_PARTS = {
    'compiles_with_xla_for_an_unknown_batch_size': (
        'chain', 'inverse_residual', 'residual_asserted',
        'residual_conditional_dense', 'residual_exact', 'sequence_conv',
        'sequence_mixed', 'sequence_conditional'),
    'frozen_copies_compute_alike_and_nothing_moves_them': (
        'conditional_labels', 'flow_coupling', 'flow_hybrid',
        'inverse_residual', 'residual_asserted', 'residual_conditional_dense',
        'residual_conv', 'residual_exact', 'chain', 'vector_flow'),
    'eager_calls_of_all_sizes_share_their_graphs': (
        'chain', 'inverse_residual', 'residual_asserted',
        'residual_conditional_dense', 'residual_conv', 'learned_norms',
        'flow_coupling', 'flow_hybrid', 'flow_noise')}


def _test_of(check):
  names = [
      name for kind, table in _KINDS.items() for name, case in table.items()
      if check.reason_against(kind, case) is None
      and name not in _BY_PARTS.get(check.name, ()) and (
          name not in cases.SLOW or name in _COMPILED.get(check.name, [name]))
      and (name not in cases.SLOW or name not in cases.MODELS
           or name in _OF_SLOW_MODELS.get(check.name, [name]))
      and (name not in _MEMORY_MODES or check.name in _OF_MEMORY_MODES)]

  @subjects.each(names, slow=_SLOW.get(check.name, ()))
  def test(subject):
    check.run(subject)

  test.__doc__ = check.sentence
  return test


for _check in running.ALL.values():
  globals()[f'test_{_check.name}'] = _test_of(_check)


@subjects.each(
    name for name, case in cases.BIJECTIONS.items() if not case.per_example)
def test_one_cotangent_for_all_examples(subject):
  bijection, x = subject.of()
  with pytest.raises(tf.errors.InvalidArgumentError, match='one cotangent'):
    gradients.of_log_det(
        bijection, x, tf.constant([1.0, -0.4, 2.5, 0.3], tf.float64))


def test_no_check_is_forgotten():
  """Those of all modules are there, and each has a fast case."""
  assert len(running.ALL) == 33
  for check in running.ALL.values():
    assert any(
        check.reason_against(kind, case) is None and name not in cases.SLOW
        and name not in _SLOW.get(check.name, ())
        for kind, table in _KINDS.items() for name, case in table.items())
