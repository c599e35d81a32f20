"""The types of docs/extending*.md among those of this package.

They are registered for a whole process, so they have processes of their own.
Your own types pass the conformance tests by a plugin of pytest like this one:

    python -m pytest -p tests.extending_types.plugin tests/conformance -k mine
"""

import dataclasses
import functools
import importlib
import os
import pathlib
import sys
import tempfile

from tests import documents

PAGES = sorted(documents.ROOT.glob('docs/extending*.md'))
MODULE = 'my_types'


def write_module(folder: str | os.PathLike) -> pathlib.Path:
  """Writes the Python of the pages to `my_types.py` in a folder."""
  blocks = [block for page in PAGES
            for block in documents.python_blocks(page.read_text())]
  path = pathlib.Path(folder) / f'{MODULE}.py'
  path.write_text('\n'.join(code for _, code in blocks))
  return path


def pytest_sessionstart(session):
  """Adds the types to the tables of cases, before tests are collected."""
  folder = tempfile.TemporaryDirectory(prefix='extending')
  session.config.add_cleanup(folder.cleanup)
  write_module(folder.name)
  sys.path.insert(0, folder.name)
  _add_cases(importlib.import_module(MODULE))


def _add_cases(my_types):
  from scipy import stats

  from tests import cases
  from tests import conditional_cases
  from tests import networks
  from tests.numerics import cases as numerics_cases
  from tf_resflow import layers
  from tf_resflow import models

  cases.LIPSCHITZ['mine_activation'] = cases.Case(
      lambda dtype: my_types.ConcatenatedELU(dtype=dtype), (5,),
      has_variables=False)
  cases.LIPSCHITZ['mine_householder'] = cases.Case(
      lambda dtype: my_types.Householder(seed=1, dtype=dtype), (5,))
  cases.LIPSCHITZ['mine_container'] = cases.Case(
      lambda dtype: my_types.Interpolation(
          layers.SpectralDense(5, coeff=0.9, seed=1, dtype=dtype)),
      (5,))
  cases.LIPSCHITZ['mine_constrained'] = cases.Case(
      lambda dtype: my_types.FrobeniusDense(3, seed=1, dtype=dtype), (5,))
  cases.AUGMENTATIONS['mine_augmentation'] = cases.Case(
      lambda dtype: my_types.Argmax(10, dtype=dtype), (2,), is_pixels=True,
      is_integer=True, is_random=True, has_variables=False)
  cases.BASES['mine_base'] = cases.Case(
      lambda dtype: my_types.Student(dtype=dtype), (3,), has_variables=False)
  cases.BIJECTIONS['mine_coupling'] = cases.Case(
      lambda dtype: my_types.CheckerboardCoupling(4, seed=1, dtype=dtype),
      (3, 4, 2), has_bi_lipschitz_bounds=False, kernel_scale=0.2)
  cases.BIJECTIONS['mine_reflected'] = cases.Case(
      lambda dtype: my_types.ReflectedBlock(networks.dense_g(dtype)), (3,),
      is_random=True)
  cases.MODELS['mine_model'] = cases.Case(
      my_types.GaussianConfig(image_shape=(4, 4, 1)).build, (4, 4, 1),
      is_pixels=True)
  cases.TRAINED_MODELS.add(my_types.ArgmaxConfig)
  cases.MODELS['mine_flow'] = cases.image_flow(
      activation='concatenated_elu', estimator='averaged:3', num_blocks=(1,))
  cases.MODELS['mine_flow_constrained'] = cases.image_flow(
      fully_connected=True, constraint='frobenius')
  cases.MODELS['mine_flow_coupling'] = dataclasses.replace(
      cases.image_flow(block='checkerboard'), kernel_scale=0.2)
  cases.MODELS['mine_flow_reflected'] = cases.image_flow(
      block='reflected', num_blocks=(1,))
  # Every type of block with a condition, too.
  for block in ('checkerboard', 'reflected'):
    cases.MODELS[f'mine_flow_conditional_{block}'] = (
        conditional_cases.conditional_image_flow(block))
  make_flow = functools.partial(
      models.ResidualFlowConfig, image_shape=(4, 4, 1), num_levels=17,
      num_blocks=(1, 1), num_dense_blocks=1, activation='householder',
      network='interpolations:1,width=3', preprocessing='centered',
      estimator='roulette:pascal:0.4')
  cases.MODELS['mine_flow_network'] = cases.Case(
      make_flow().build, (4, 4, 1), is_pixels=True, is_random=True)
  cases.MODELS['mine_flow_conditional_network'] = (
      conditional_cases.conditional(
          make_flow(condition_labels=3, condition_features=4,
                    condition_at=('blocks', 'gates')).build,
          (4, 4, 1), is_pixels=True, is_random=True))
  cases.DATASETS['mine_data'] = 'stripes'
  numerics_cases.TRUNCATION_DISTRIBUTIONS['mine_distribution'] = (
      numerics_cases.LawCase('pascal:0.3', stats.nbinom(2, 0.3)))
  numerics_cases.ESTIMATORS['mine_estimator'] = numerics_cases.EstimatorCase(
      'averaged:2,exact=1', _pairs_of_draws)


def _pairs_of_draws(estimator, probes, u):
  """Equal draws: the mean of a mean does not ask how they depend."""
  from scipy import stats

  from tests.numerics import cases as numerics_cases

  roulette = numerics_cases.every_number(stats.poisson(2))
  for draw, probability in roulette(estimator.inner, probes, u):
    yield [draw] * estimator.count, probability
