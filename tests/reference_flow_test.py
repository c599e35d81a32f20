"""The oracle of converted checkpoints: differences, and what the authors count.

That it agrees with the models of this package is tested in
`tests/conversion/weights_test.py`.
"""

import numpy as np
import pytest

from tests.conversion import checkpoints
from tests.conversion import reference_state


@pytest.mark.parametrize('name', [
    'only_feature_act_norm', 'fully_connected', 'linear',
    'coupling_fully_connected'])
def test_log_det_is_that_of_central_differences(name):
  # Grey, since colours take three times as many differences.
  made = checkpoints.make(name, data='mnist')
  x = np.random.default_rng(2).uniform(0.2, 0.8, size=[1, 8, 8, 1])
  size, step = x.size, 1e-6
  steps = step * np.eye(size).reshape([size, *x.shape[1:]])
  # At once: every evaluation takes the norms anew.
  results = made.expected('raw', np.concatenate([x + steps, x - steps, x]))
  z, got = results['z'], results['log_det'][-1]
  jacobian = (z[:size] - z[size:-1]).T / (2.0 * step)
  want = np.linalg.slogdet(jacobian)[1]
  np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_about_half_of_the_kernels_are_rescaled():
  made = checkpoints.make('grey')
  sigmas = [made.raw[name] for name in made.raw if name.endswith('.scale')]
  assert 0.4 < np.mean(np.array(sigmas) > made.arguments['coeff']) < 0.6


# What the authors' code counts.
@pytest.mark.parametrize('changes, count', [
    ({}, 25174233), ({'data': 'mnist', 'imagesize': 28}, 16608693)])
def test_number_of_parameters_of_the_published_models(changes, count):
  arguments = reference_state.default_arguments(**changes)
  names = set(reference_state.parameter_names(arguments))
  assert count == sum(
      int(np.prod(entry.shape))
      for entry in reference_state.state_entries(arguments)
      if entry.name in names)
