"""The oracle of converted checkpoints, against differences and plain loops."""

import numpy as np
import pytest

from tests.conversion import reference_flow
from tests.conversion import reference_nets
from tests.conversion import reference_state

_TINY = {'data': 'mnist', 'imagesize': 8, 'nblocks': '1-1', 'idim': 3,
         'fc_idim': 4, 'cdim': 5}
_CASES = {
    'mnist': {},
    'factor_out': {'factor_out': True, 'act': 'elu', 'fc_end': False},
    'squeezed': {'squeeze_first': True, 'fc_actnorm': True, 'nblocks': '1'},
    'squeezed_colours': {
        'data': 'celebahq', 'nbits': 5, 'imagesize': 256,
        'squeeze_first': True, 'fc_actnorm': True, 'nblocks': '1'},
    'hybrid': {'data': 'cifar10', 'task': 'hybrid', 'preact': False,
               'kernels': '3', 'vnorms': '22', 'fc_end': False},
    'softplus_dense': {'act': 'softplus', 'fc': True, 'actnorm': False},
    'lcube': {'act': 'lcube', 'first_resblock': False},
    'relu_raw': {'act': 'relu', 'logit_transform': False},
    'coupling': {'block': 'coupling', 'act': 'elu'},
    'linear': {'quadratic': True, 'factor_out': True},
    'dense_coupling': {
        'block': 'coupling', 'squeeze_first': True, 'fc': True,
        'quadratic': True},
}


def make_case(name, num_images=2, image_size=8):
  """Arguments, a state and images well inside the unit interval."""
  arguments = reference_flow.default_arguments(**{**_TINY, **_CASES[name]})
  state = reference_flow.make_state(arguments, 1, image_size)
  shape = reference_state.image_shape(arguments, image_size)
  x = np.random.default_rng(2).uniform(0.2, 0.8, size=[num_images, *shape])
  return arguments, state, x


def evaluate(arguments, state, x):
  return reference_flow.evaluate(arguments, state, x, image_size=x.shape[1])


@pytest.mark.parametrize('name', sorted(_CASES.keys() - {'squeezed_colours'}))
def test_log_det_is_that_of_central_differences(name):
  # Colours take three times as many differences.
  arguments, state, x = make_case(
      name, num_images=1, image_size=4 if name == 'hybrid' else 8)
  size, step = x.size, 1e-6
  steps = step * np.eye(size).reshape([size, *x.shape[1:]])
  # At once: every evaluation takes the norms anew.
  results = evaluate(
      arguments, state, np.concatenate([x + steps, x - steps, x]))
  z, got = results['z'], results['log_det'][-1]
  jacobian = (z[:size] - z[size:-1]).T / (2.0 * step)
  want = np.linalg.slogdet(jacobian)[1]
  np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_conv_matrix_is_a_loop_over_pixels():
  rng = np.random.default_rng(0)
  rows, columns, inputs, outputs = 4, 5, 2, 3
  for width in (1, 3, 5):
    kernel = rng.normal(size=[outputs, inputs, width, width])
    x = rng.normal(size=[inputs, rows, columns])
    pad = width // 2
    padded = np.pad(x, [(0, 0), (pad, pad), (pad, pad)])
    want = np.zeros([outputs, rows, columns])
    for o, r, c in np.ndindex(want.shape):
      want[o, r, c] = np.sum(kernel[o] * padded[:, r:r + width, c:c + width])
    matrix = reference_flow.conv_matrix(kernel, rows, columns)
    np.testing.assert_allclose(matrix @ x.ravel(), want.ravel(), atol=1e-12)


@pytest.mark.parametrize('width', [1, 3])
def test_norm_of_a_convolution_is_that_of_iterated_loops(width):
  rng = np.random.default_rng(3)
  kernel = rng.normal(size=[2, 3, width, width])
  pad = width // 2

  def correlate(x, kernel):
    padded = np.pad(x, [(0, 0), (pad, pad), (pad, pad)])
    return sum(
        np.tensordot(
            kernel[:, :, a, b], padded[:, a:a + 4, b:b + 4], axes=1)
        for a in range(width) for b in range(width))

  transposed = kernel[:, :, ::-1, ::-1].transpose([1, 0, 2, 3])
  v = rng.normal(size=[3, 4, 4])
  for _ in range(2000):
    v = correlate(correlate(v, kernel), transposed)
    v /= np.linalg.norm(v)
  want = np.linalg.norm(correlate(v, kernel))
  operator = reference_nets.Operator('conv', 2, 3, width, 4, 4)
  sigma, _, _ = reference_flow.top_singular(
      reference_flow.norm_matrix(operator, kernel))
  np.testing.assert_allclose(sigma, want, rtol=1e-9)


def test_about_half_of_the_kernels_are_rescaled():
  arguments, state, _ = make_case('mnist')
  sigmas = [state[name] for name in state if name.endswith('.scale')]
  large = sum(sigma > arguments['coeff'] for sigma in sigmas)
  assert large == len(sigmas) // 2


def test_only_large_kernels_count_as_their_multiple_of_norm_coeff():
  arguments, state, x = make_case('factor_out')
  z = evaluate(arguments, state, x)['z']
  for name in [name for name in state if name.endswith('.scale')]:
    kernel = name.replace('.scale', '.weight')
    large = state[name] > arguments['coeff']
    for factor in (1.25, arguments['coeff'] / state[name]):
      scaled = {**state, kernel: np.float64(factor) * state[kernel]}
      error = np.abs(evaluate(arguments, scaled, x)['z'] - z).max()
      assert (error < 1e-5) == large, name


def test_saved_singular_vectors_are_those_of_the_saved_kernels():
  arguments, state, _ = make_case('squeezed_colours')
  entries = reference_state.state_entries(arguments, image_size=8)
  operators = [entry.operator for entry in entries if entry.role == 'scale']
  assert operators
  for operator in operators:
    matrix = reference_flow.norm_matrix(
        operator, state[f'{operator.name}.weight'])
    u, v, scale = (
        state[f'{operator.name}.{part}'] for part in ('u', 'v', 'scale'))
    np.testing.assert_allclose(u @ matrix @ v, scale, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(matrix, 2), scale, rtol=1e-5)


def test_bits_per_dim_scales_by_the_number_of_values():
  arguments, state, x = make_case('squeezed_colours')
  results = evaluate(arguments, state, x)
  gaussian = np.sum(
      -0.5 * results['z'] ** 2 - 0.5 * np.log(2.0 * np.pi), axis=1)
  want = -(gaussian + results['log_det']) / (x[0].size * np.log(2.0)) + 5.0
  np.testing.assert_allclose(results['bits_per_dim'], want)


@pytest.mark.parametrize('factor_out', [False, True])
def test_the_last_head_sees_what_was_factored_out_before(factor_out):
  arguments, state, x = make_case('hybrid')
  arguments['factor_out'] = factor_out
  state = reference_flow.make_state(arguments, seed=1, image_size=8)
  before = evaluate(arguments, state, x)
  bias = next(name for name in state
              if name.startswith('transforms.1.') and name.endswith('.bias'))
  after = evaluate(arguments, {**state, bias: state[bias] + 1.0}, x)
  assert np.abs(before['z'] - after['z']).max() > 0.1
  assert np.array_equal(before['logits'], after['logits']) == factor_out


# What the authors' code counts.
@pytest.mark.parametrize('changes, count', [
    ({}, 25174233), ({'data': 'mnist', 'imagesize': 28}, 16608693)])
def test_number_of_parameters_of_the_published_models(changes, count):
  arguments = reference_flow.default_arguments(**changes)
  names = set(reference_flow.parameter_names(arguments))
  assert count == sum(
      int(np.prod(entry.shape))
      for entry in reference_state.state_entries(arguments)
      if entry.name in names)


def test_couplings_move_what_they_do_not_pass_and_take_turns():
  arguments = reference_flow.default_arguments(
      **{**_TINY, 'block': 'coupling', 'nblocks': '2-2'})
  first, second = [
      layer for layer in reference_state.build_scales(arguments, 8)[0]
      if layer.kind == 'coupling']
  # Pixels whose row and column have an even sum pass the very first.
  assert first.passed[0, :2, :3].tolist() == [
      [True, False, True], [False, True, False]]
  assert not np.any(first.passed & second.passed)
  # Behind the squeeze, halves of the channels.
  later = [layer for layer in reference_state.build_scales(arguments, 8)[1]
           if layer.kind == 'coupling']
  assert [layer.passed[:, 0, 0].tolist() for layer in later] == [
      [True, True, False, False], [False, False, True, True]] * 3
