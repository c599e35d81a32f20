"""The tables of cases hold everything public and everything registered."""

import functools
import inspect

import keras
import pytest
from tensorflow_probability import bijectors as tfb

from tests import cases
from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.layers.conditions import conditioning
from tf_resflow.layers.lipschitz import induced
from tf_resflow.specs import registries

# Base classes, which cannot be used as they are.
_ABSTRACT = (
    layers.LipschitzLayer, layers.ElementwiseActivation,
    layers.ConcatenatedActivation, induced.InducedNormLayer,
    layers.Bijection, layers.CompositeBijection, layers.LipschitzContainer,
    layers.Augmentation, layers.BaseDistribution,
    conditioning.ConditionalLayer, layers.ConditionNetwork,
    bijectors.FlowBijector)
# Not driven alone: 'flow_hybrid' has the classifier of several features, and
# tests/bijectors/chain_test.py compares the chain with that of TFP.
_DRIVEN_ELSEWHERE = layers.HybridClassifier, bijectors.Chain


@functools.cache
def made():
  """Returns the subjects of all cases, which may be unbuilt."""
  return {name: case.make_fn('float32')
          for name, case in cases.everything().items()}


def of(table):
  """Returns those of a table."""
  return [made()[name] for name in table]


@pytest.mark.parametrize('package, base, table', [
    (layers, keras.layers.Layer, cases.keras_layers()),
    (bijectors, tfb.Bijector, cases.BIJECTORS),
    (models, keras.Model, cases.MODELS),
])
def test_nothing_public_is_missing(package, base, table):
  values = [getattr(package, name) for name in package.__all__]
  public = {
      value for value in values
      if inspect.isclass(value) and issubclass(value, base)}
  assert public
  missing = {value for value in public - set(_ABSTRACT + _DRIVEN_ELSEWHERE)
             # tests/bijectors/adapted_test.py has all of these.
             if value.__module__ != 'tf_resflow.bijectors.adapted'}
  missing -= {*map(type, of(table))}
  names = sorted(c.__name__ for c in missing)
  assert not names, f'add {names} to tests/cases.py'


def test_slow_cases_exist():
  assert cases.SLOW <= {*cases.everything(), *cases.DATASETS}


def test_everything_registered_is_in_a_case():
  activations = set(map(type, of(cases.LIPSCHITZ)))
  for name in registries.ACTIVATIONS.names():
    assert registries.ACTIVATIONS.get(name) in activations, name
  configs = [m.config for m in of(cases.MODELS) if hasattr(m, 'config')]
  augmented = [m.config for m in of(cases.AUGMENTED_MODELS)]
  assert {c.augmentation for c in augmented} == set(
      registries.AUGMENTATIONS.names())
  bases = set(map(type, of(cases.BASES)))
  assert bases >= set(map(registries.BASES.get, registries.BASES.names()))
  for name in registries.MODELS.names():
    assert registries.MODELS.get(name) in {
        *map(type, configs), *cases.TRAINED_MODELS}, name
  distributions = {
      augmentation.noise_distribution.spec().partition(':')[0]
      for augmentation in of(cases.AUGMENTATIONS)
      if hasattr(augmentation, 'noise_distribution')}
  assert distributions == set(registries.NOISE_DISTRIBUTIONS.names())
  for field, registry in (
      ('block', registries.BLOCKS), ('network', registries.NETWORKS),
      ('constraint', registries.CONSTRAINTS),
      ('dequantization', registries.DEQUANTIZATIONS),
      ('invertible_linear', registries.MATRICES)):
    used = {getattr(c, field).partition(':')[0]
            for c in configs if hasattr(c, field)}
    assert used - {'none'} == set(registry.names())
  conditional = [c for c in configs if getattr(c, 'is_conditional', False)]
  for field, registry in (
      ('block', registries.BLOCKS), ('network', registries.NETWORKS),
      ('invertible_linear', registries.MATRICES)):
    used = {getattr(c, field).partition(':')[0] for c in conditional} - {'none'}
    assert used == set(registry.names()), 'each with a condition, too'
  preprocessing = {getattr(c, 'preprocessing', None) for c in configs}
  assert preprocessing >= set(registries.PREPROCESSORS.names())
  couplings = of(cases.BIJECTIONS)
  for field, registry in (
      ('mask', registries.MASKS), ('parameterization', registries.MATRICES)):
    used = {getattr(c, field) for c in couplings if hasattr(c, field)}
    assert used == set(registry.names())
  infos = map(registries.DATASETS.get, registries.DATASETS.names())
  at_hand = {i.name for i in infos if i.is_embedded or i.load_fn}
  assert at_hand == set(cases.DATASETS.values())


def test_no_private_method_shadows_one_of_keras():
  classes = {cls for layer in of(cases.keras_layers())
             for cls in type(layer).__mro__
             if cls.__module__.startswith('tf_resflow')}
  for cls in classes:
    base = keras.Model if issubclass(cls, keras.Model) else keras.layers.Layer
    shadowed = {name for name in vars(cls) if hasattr(base, name) and
                name.startswith('_') and not name.startswith('__')}
    assert shadowed <= {'_auto_config'}, f'{cls.__name__}: rename {shadowed}'
