"""The table of cases holds everything public."""

import inspect

import keras
import pytest
from tensorflow_probability import bijectors as tfb

from tests import cases
from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import models

# Base classes, which cannot be used as they are.
_ABSTRACT = (
    layers.LipschitzActivation, layers.InvertibleLayer, layers.SpectralLayer,
    models.Flow)
# Owns no layer: tests/bijectors/chain_test.py compares it with tfb.Chain.
_COMPOSITE = (bijectors.Chain,)


def public_classes(room, base):
  return {
      value for name, value in vars(room).items()
      if inspect.isclass(value) and issubclass(value, base) and
      not name.startswith('_') and value not in _ABSTRACT + _COMPOSITE}


def missing(room, base, table):
  covered = {type(case.make_fn('float32')) for case in table.values()}
  return public_classes(room, base) - covered


@pytest.mark.parametrize('room, base, table', [
    (layers, keras.layers.Layer, cases.LAYERS),
    (bijectors, tfb.Bijector, cases.BIJECTORS),
    (models, keras.Model, cases.MODELS),
])
def test_nothing_public_is_missing(room, base, table):
  assert public_classes(room, base)
  names = sorted(c.__name__ for c in missing(room, base, table))
  assert not names, f'add {names} to tests/cases.py'


def test_complains_about_a_missing_class():
  table = {k: v for k, v in cases.LAYERS.items() if k != 'squeeze'}
  assert missing(layers, keras.layers.Layer, table) == {layers.Squeeze}


def test_trainable_cases_are_those_with_variables():
  trainable = {
      name for name, case in cases.ALL.items()
      if cases.layer_of(case.make()).trainable_variables}
  assert trainable == set(cases.TRAINABLE)


@pytest.mark.parametrize('name', cases.LAYERS)
def test_normalisation_is_at_work(name):
  """Kernels of the cases exceed their bound, or tests would miss it."""
  layer = cases.LAYERS[name].make()
  for sublayer in layer._flatten_layers():
    if isinstance(sublayer, layers.SpectralLayer):
      assert sublayer.sigma() > 1.02 * sublayer.coeff


@pytest.mark.parametrize('base, table', [
    (keras.layers.Layer, cases.LAYERS), (keras.Model, cases.MODELS)])
def test_no_private_method_shadows_one_of_keras(base, table):
  for case in table.values():
    for cls in type(case.make_fn('float32')).__mro__:
      if cls.__module__.startswith('tf_resflow'):
        private = {name for name in vars(cls) if name.startswith('_')}
        private = {name for name in private if not name.startswith('__')}
        shadowed = {n for n in private if hasattr(base, n)} - {'_auto_config'}
        assert not shadowed, f'{cls.__name__}: rename {sorted(shadowed)}'
