"""Properties of every Lipschitz layer: its bound, and its pure functions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tests import testing
from tests.conformance import subjects
from tests.numerics.norms import induced_oracle
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.layers.lipschitz import learned_norms

# Power iteration bounds a norm from below, to a relative 1e-3.
_TOLERANCE = 1e-3


def slope(layer, x, domain=2.0, codomain=2.0):
  """Returns the largest norm `|J|_p->q` of the Jacobians at examples `x`."""
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    y = layer(x)
  jacobian = tape.batch_jacobian(y, x, experimental_use_pfor=False)
  size = x.shape[1:].num_elements()
  matrices = np.reshape(jacobian, [x.shape[0], -1, size])
  if domain == codomain == 2.0:
    return np.linalg.norm(matrices, 2, axis=(1, 2)).max()
  return max(induced_oracle.brute_force(
      matrix, domain, codomain, num_starts=50) for matrix in matrices)


def pure(layer, variables, state, x):
  """Evaluates a layer by its three pure parts."""
  norms = layer.converge_norms(variables, state)
  return layer.evaluate(layer.effective_weights(variables, norms), x)


def differentiate(function, layer, x):
  """Returns the value of `function(x)` and all its gradients."""
  variables = [v.value for v in layer.trainable_variables]
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = function(x)
  return y, *tape.gradient(y, [x, *variables], tf.cos(y))


@subjects.each(cases.LIPSCHITZ)
def test_no_slope_exceeds_the_bound_or_the_certificate(subject):
  """Slopes at examples near zero, where activations are steep, and far off."""
  layer, _ = subject.of()
  domain = learned_norms.present_order(layer.domain or 2.0)
  codomain = learned_norms.present_order(layer.codomain or domain)
  x = subject.case.inputs('float64', batch_size=10)
  measured = slope(
      layer, tf.concat([0.03 * x, x, 10.0 * x], axis=0), domain, codomain)
  estimate, certificate = layer.norm_estimate(), layer.certificate()
  margin = (1.0 + _TOLERANCE)**layer.num_constrained * (1.0 + 1e-9)
  # Whoever estimates a norm does not know a bound.
  if layer.bound_source != 'estimate':
    assert measured <= layer.lipschitz_bound * margin
    assert estimate <= layer.lipschitz_bound * (1.0 + 1e-9)
  assert measured <= certificate.bound * (1.0 + 1e-9)
  assert certificate.bound <= layer.lipschitz_bound * 1.5**(
      layer.num_constrained)
  assert measured <= estimate * margin
  assert 0.0 < estimate <= certificate.bound * (1.0 + 1e-9)
  num_methods = (
      1 if layer.bound_source == 'assertion' else layer.num_constrained)
  assert len(certificate.methods) == num_methods
  assert layer.num_constrained == len(layer.constrained_layers())


@subjects.each(cases.LIPSCHITZ)
def test_pure_parts_agree_with_the_call(subject):
  """Also if adjacent kernels have absorbed the scales of an activation."""
  layer, x = subject.of()
  variables, state = layer.tensors()
  before = [v.numpy().copy() for v in layer.variables]
  actual = differentiate(
      lambda x: pure(layer, layer.tensors()[0], state, x), layer, x)
  subjects.assert_all_close(actual, differentiate(layer, layer, x), 1e-10)
  for variable, value in zip(layer.variables, before, strict=True):
    np.testing.assert_array_equal(variable.numpy(), value)
  # Every trainable variable, and x, got a gradient.
  for value in actual:
    assert np.all(np.isfinite(value)) and np.any(value != 0.0)
  assert sum(len(v) for v in map(tf.nest.flatten, (variables, state))) >= len(
      layer.variables)


@subjects.each(cases.LIPSCHITZ)
def test_pure_parts_know_nothing_of_the_layer_but_its_structure(subject):
  """They compute the function of another layer, given its tensors."""
  layer, x = subject.of()
  other = subject.case.make('float64', seed=1)
  # Of a layer that a user wrote it is not known.
  assert (layer.structure() == other.structure()) == (
      layer.bound_source in ('construction', 'estimate'))
  actual = pure(layer, *other.tensors(), x)
  np.testing.assert_allclose(actual, other(x), rtol=1e-10, atol=1e-12)
  if subject.case.has_variables:
    assert np.abs(actual - layer(x)).max() > 1e-3


def test_structures_tell_layers_apart():
  structures = [case.make(dtype).structure() for case in
                cases.LIPSCHITZ.values() for dtype in ('float32', 'float64')]
  assert len(set(structures)) == len(structures)


@subjects.each(cases.LIPSCHITZ)
def test_saved_norms_change_no_result_and_need_no_step(subject):
  layer, x = subject.case.make(), subject.case.inputs()
  before = layer(x)
  layer.save_norms()
  np.testing.assert_allclose(layer(x), before, rtol=1e-3, atol=1e-3)
  assert int(layer.save_norms()) == 0
  for part in layer.constrained_layers():
    part.save_norms()
    assert int(part.save_norms()) == 0


@subjects.each(cases.LIPSCHITZ)
def test_shapes_are_those_that_are_stated(subject):
  layer, _ = subject.of('float32')
  (y,), event_shape = subject.outputs('float32'), subject.case.event_shape
  assert layer.compute_output_shape((None, *event_shape)) == (
      None, *y.shape[1:])
  largest = layer.max_activation_size((None, *event_shape))
  # What is inside of a layer of Keras is not known.
  assert largest in (0, max(largest, y[0].size))


@subjects.each(cases.LIPSCHITZ | cases.BIJECTIONS)
def test_normalisation_is_at_work(subject):
  """Kernels of the cases exceed their bound, or tests would miss it."""
  for part in subject.of()[0].constrained_layers():
    variables, state = part.tensors()
    weights = part.effective_weights(
        variables, part.converge_norms(variables, state))
    assert np.linalg.norm(variables[0]) > 1.02 * np.linalg.norm(weights[0])


@pytest.mark.parametrize('name, dtype', [
    ('elu', 'float16'), ('spectral_dense', 'mixed_float16'),
    ('act_norm_image', 'bfloat16')])
def test_refuses_low_precision_in_one_line(name, dtype):
  """`BaseLayer` does, from which all layers derive."""
  with pytest.raises(errors.InvalidValueError, match=(
      rf'^dtype=(mixed_)?{dtype.removeprefix("mixed_")}: expected float32 or '
      'float64')) as error:
    (cases.LIPSCHITZ | cases.BIJECTIONS)[name].make_fn(dtype)
  assert '\n' not in str(error.value)


def test_refuses_a_global_policy_of_low_precision():
  keras.config.set_dtype_policy('mixed_bfloat16')
  try:
    with pytest.raises(errors.InvalidValueError, match='dtype=mixed_bfloat16'):
      layers.SpectralDense(3)
  finally:
    keras.config.set_dtype_policy('float32')


def test_the_oracle_sees_a_layer_that_breaks_its_bound():
  layer = cases.LIPSCHITZ['spectral_dense'].make('float64')
  x = cases.LIPSCHITZ['spectral_dense'].inputs('float64')

  def raw(x):
    return x @ layer.kernel.value

  assert slope(raw, x) > 1.02 * layer.coeff
  matrix = testing.materialize(raw, 5)
  np.testing.assert_allclose(
      slope(raw, x), np.linalg.norm(matrix, 2), rtol=1e-12)
  np.testing.assert_allclose(
      slope(raw, x, 1.0, np.inf), np.abs(matrix).max(), rtol=1e-12)
