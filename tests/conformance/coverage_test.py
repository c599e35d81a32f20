"""The tables of cases hold everything public and everything registered."""

import inspect

import keras
import numpy as np
import pytest
from tensorflow_probability import bijectors as tfb

from tests import cases
from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.configuration import registries

# Base classes, which cannot be used as they are.
_ABSTRACT = (
    layers.LipschitzLayer, layers.Elementwise, layers.Concatenated,
    layers.SpectralLayer, layers.InducedNormLayer,
    layers.Bijection, layers.SolvingBijection, layers.Embedding,
    layers.ConditionalLayer, layers.ConditionNetwork,
    bijectors.FlowBijector)
# Not to be made by a constructor and driven alone: frozen_test.py has every
# frozen bijection, 'flow_hybrid' the classifier of several features,
# 'conditional_...' the networks of conditions, and
# tests/bijectors/chain_test.py compares the chain with that of TFP.
_DRIVEN_ELSEWHERE = (
    layers.FrozenResidualBlock, layers.HybridClassifier, layers.KerasNetwork,
    layers.LabelEmbedding, layers.VectorNetwork, bijectors.Chain)


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
  missing = public - set(_ABSTRACT + _DRIVEN_ELSEWHERE)
  for case in table.values():
    subject = case.make_fn('float32')
    # What a condition was given to.
    missing -= {type(subject), type(getattr(subject, 'layer', None)),
                type(getattr(subject, 'bijection', None))}
  names = sorted(c.__name__ for c in missing)
  assert not names, f'add {names} to tests/cases.py'


def test_everything_registered_is_in_a_case():
  activations = {type(case.make_fn('float32'))
                 for case in cases.LIPSCHITZ.values()}
  for name in registries.ACTIVATIONS.names():
    assert registries.ACTIVATIONS.get(name) in activations, name
  configs = [case.make_fn('float32').config for case in cases.MODELS.values()
             if hasattr(case.make_fn('float32'), 'config')]
  for name in registries.MODELS.names():
    assert registries.MODELS.get(name) in map(type, configs), name
  laws = {case.make_fn('float32').noise_law.spec().partition(':')[0]
          for name, case in cases.EMBEDDINGS.items() if 'noise' in name}
  assert laws == set(registries.NOISE_LAWS.names())
  for field, registry in (
      ('block', registries.BLOCKS), ('constraint', registries.CONSTRAINTS),
      ('embedding', registries.EMBEDDINGS),
      ('invertible_linear', registries.INVERTIBLE_LINEARS)):
    used = {getattr(c, field) for c in configs if hasattr(c, field)}
    assert used == set(registry.names())
  conditional = [c for c in configs if getattr(c, 'is_conditional', False)]
  for field, registry in (
      ('block', registries.BLOCKS),
      ('invertible_linear', registries.INVERTIBLE_LINEARS)):
    used = {getattr(c, field) for c in conditional}
    assert used == set(registry.names()), 'each with a condition, too'
  preprocessing = {getattr(c, 'preprocessing', None) for c in configs}
  assert preprocessing >= set(registries.PREPROCESSORS.names())
  couplings = [case.make_fn('float32') for case in cases.BIJECTIONS.values()]
  for field, registry in (
      ('mask', registries.MASKS), ('parameterization', registries.MATRICES)):
    used = {getattr(c, field) for c in couplings if hasattr(c, field)}
    assert used == set(registry.names())
  infos = map(registries.DATASETS.get, registries.DATASETS.names())
  at_hand = {i.name for i in infos if i.is_embedded or i.load_fn}
  assert at_hand == set(cases.DATASETS.values())


def test_normalisation_is_at_work():
  """Kernels of the cases exceed their bound, or tests would miss it."""
  for name, case in (cases.LIPSCHITZ | cases.BIJECTIONS).items():
    for part in case.make().constrained_layers():
      variables, state = part.tensors()
      weights = part.effective_weights(
          variables, part.converge_norms(variables, state))
      assert np.linalg.norm(variables[0]) > 1.02 * np.linalg.norm(
          weights[0]), name


def test_no_private_method_shadows_one_of_keras():
  classes = {cls for case in cases.keras_layers().values()
             for cls in type(case.make_fn('float32')).__mro__
             if cls.__module__.startswith('tf_resflow')}
  for cls in classes:
    base = keras.Model if issubclass(cls, keras.Model) else keras.layers.Layer
    shadowed = {name for name in vars(cls) if hasattr(base, name) and
                name.startswith('_') and not name.startswith('__')}
    assert shadowed <= {'_auto_config'}, f'{cls.__name__}: rename {shadowed}'
