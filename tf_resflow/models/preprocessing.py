"""What happens to images before the first block of a flow."""

from typing import Any

from tf_resflow import errors
from tf_resflow import layers


def make_logit(config: Any, dtype: str) -> layers.Bijection:
  """Returns the logit transform of `config.logit_alpha`."""
  return layers.Logit(config.logit_alpha, name='logit', dtype=dtype)


def make_standardize(config: Any, dtype: str) -> layers.Bijection:
  """Returns the standardisation by `config.mean` and `config.std`."""
  errors.check(
      bool(config.mean), 'mean', '', 'one number per channel',
      'Give it and std, which the images are standardised by.')
  return layers.Standardize(
      config.mean, config.std, name='standardize', dtype=dtype)


def make_nothing(unused_config: Any, dtype: str) -> layers.Bijection:
  """Returns the identity."""
  return layers.Chain([], name='none', dtype=dtype)
