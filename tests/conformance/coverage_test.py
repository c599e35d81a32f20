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
from tf_resflow import numerics
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


def public_classes(room, base):
  values = [getattr(room, name) for name in room.__all__]
  return {
      value for value in values
      if inspect.isclass(value) and issubclass(value, base) and
      value not in _ABSTRACT + _DRIVEN_ELSEWHERE}


def missing(room, base, table):
  covered = set()
  for case in table.values():
    subject = case.make_fn('float32')
    # What a condition was given to.
    covered |= {type(subject), type(getattr(subject, 'layer', None)),
                type(getattr(subject, 'bijection', None))}
  return public_classes(room, base) - covered


@pytest.mark.parametrize('room, base, table', [
    (layers, keras.layers.Layer, cases.keras_layers()),
    (bijectors, tfb.Bijector, cases.BIJECTORS),
    (models, keras.Model, cases.MODELS),
])
def test_nothing_public_is_missing(room, base, table):
  assert public_classes(room, base)
  names = sorted(c.__name__ for c in missing(room, base, table))
  assert not names, f'add {names} to tests/cases.py'


def test_complains_about_a_missing_class():
  table = {k: v for k, v in cases.keras_layers().items() if k != 'squeeze'}
  assert missing(layers, keras.layers.Layer, table) == {layers.Squeeze}


@pytest.mark.parametrize('kinds, table', [
    (layers.LipschitzLayer, cases.LIPSCHITZ),
    (layers.Bijection, cases.BIJECTIONS),
    (layers.Embedding, cases.EMBEDDINGS),
    (tfb.Bijector, cases.BIJECTORS),
    (models.Flow, cases.MODELS | cases.EMBEDDED_MODELS)])
def test_every_table_holds_its_kind(kinds, table):
  for name, case in table.items():
    assert isinstance(case.make_fn('float32'), kinds), name


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


@pytest.mark.parametrize('name', cases.everything())
def test_flags_of_cases_are_right(name):
  case = cases.everything()[name]
  layer = cases.layer_of(case.make())
  assert case.has_variables == bool(layer.trainable_variables)
  if name in cases.BIJECTIONS and case.is_random:
    assert layer.is_random


@pytest.mark.parametrize('name', cases.BIJECTIONS)
def test_what_takes_an_estimator_has_one(name):
  case = cases.BIJECTIONS[name]
  layer = case.make()
  log_det = layer.transform(case.inputs(), estimator=numerics.Skip()).log_det
  assert bool(layer.estimators()) == bool(np.isnan(log_det).any())


@pytest.mark.parametrize('name', cases.LIPSCHITZ | cases.BIJECTIONS)
def test_normalisation_is_at_work(name):
  """Kernels of the cases exceed their bound, or tests would miss it."""
  layer = (cases.LIPSCHITZ | cases.BIJECTIONS)[name].make()
  for part in layer.constrained_layers():
    variables, state = part.tensors()
    weights = part.effective_weights(
        variables, part.converge_norms(variables, state))
    assert np.linalg.norm(variables[0]) > 1.02 * np.linalg.norm(weights[0])


@pytest.mark.parametrize('name', cases.keras_layers())
def test_no_private_method_shadows_one_of_keras(name):
  subject = cases.keras_layers()[name].make_fn('float32')
  base = keras.Model if isinstance(subject, keras.Model) else keras.layers.Layer
  for cls in type(subject).__mro__:
    if cls.__module__.startswith('tf_resflow'):
      private = {name for name in vars(cls) if name.startswith('_')}
      private = {name for name in private if not name.startswith('__')}
      shadowed = {n for n in private if hasattr(base, n)} - {'_auto_config'}
      assert not shadowed, f'{cls.__name__}: rename {sorted(shadowed)}'
