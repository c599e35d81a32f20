"""Metadata: fields of models, changes of images, conditions."""

import dataclasses

import numpy as np

from tests import schemas
from tests import splits
from tests import testing
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow.specs import registries

_ROWS = np.random.default_rng(0).normal(
  [5.0, -100.0, 0.25, 1.0], [1.0, 20.0, 0.01, 3.0], [40, 4])


def _table(tmp_path):
  path = tmp_path / 'own.csv'
  splits.write_table(path, ['a', 'b b', 'c', 'd'], _ROWS)
  return f'table:{path}'


def test_changes_know_what_is_stored():
  info = datasets.info('cifar10')
  few = info.changed(num_bits=5)
  assert (few.image_shape, few.num_levels) == ((32, 32, 3), 32)
  small = info.changed(resize=8)
  assert (small.image_shape, small.num_levels) == ((8, 8, 3), 256)
  assert few.stored is small.stored is info and small.resize == 8
  assert small.changed(num_bits=3).stored is info
  assert few.changed(num_bits=5) == few


def test_bad_changes():
  testing.check_refusals(lambda x: datasets.info(x[0]).changed(**x[1]), [
    (('digits', {'num_bits': 4}),
     'num_bits=4 cannot be used with dataset=digits. It requires 8-bit'),
    (('2d/moons', {'num_bits': 5}), 'num_bits=5 cannot be used with dataset='),
    (('2d/moons', {'resize': 8}), 'resize=8 cannot be used with dataset=2d/')])


def test_fields_of_the_model_follow(monkeypatch):
  schema = schemas.make_schema(
    'a', 'b', mean=(1.0, 2.0), std=(3.0, 4.0), conditions=['c'])
  info = datasets.VectorInfo(name='two', event_size=2, schema=schema)
  assert info.model == 'vector' and info.event_shape == (2,)
  assert not info.is_image and datasets.info('digits').is_image
  assert info.changed() is info
  for model, of in (('vector', info), ('image', datasets.info('digits'))):
    fields = registries.MODELS.get(model).fields()
    assert {f.name for f in fields if not f.is_flag} <= {
      'seed', 'data_fingerprint', *of.inferred_fields()}
  monkeypatch.setitem(registries.DATASETS._entries, 'two', info)
  model = configuration.make_config(dataset='two', num_blocks=1).model
  assert (model.schema, model.condition_size) == (schema, 1)
  first = model.build().bijection.bijection.leaves()[0]
  assert (first.mean, first.std) == ((1.0, 2.0), (3.0, 4.0))


def test_labels():
  info = datasets.info('mnist').changed(num_bits=5, resize=14)
  assert info.condition_labels is None
  given = info.with_condition(['label'])
  # Nothing else changes, in either order: labels were no part of x.
  assert given == dataclasses.replace(info, condition_labels=10)
  assert datasets.info('mnist').with_condition(['label']).changed(
    num_bits=5, resize=14).inferred_fields() == given.inferred_fields()
  model = configuration.make_config(condition_on=('label',)).model
  assert (model.condition_labels, model.condition_size) == (10, 0)
  assert model.schema is None


def test_columns_of_a_table(tmp_path):
  name, names = _table(tmp_path), ('d', 'a')
  whole = datasets.info(name)
  info = whole.with_condition(names).with_validation(0)
  kept, chosen = [1, 2], [3, 0]
  schema = info.schema
  assert schema.names == ('b b', 'c') and info.event_shape == (2,)
  assert schema.condition_names == names and schema.condition_size == 2
  assert info.condition_labels == 0
  train = np.float64(datasets.open_split(name, 'train').arrays['x'])
  for role, places in (('modelled', kept), ('condition', chosen)):
    mean, std = schema.moments(role)
    np.testing.assert_allclose(mean, train[:, places].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, train[:, places].std(axis=0), rtol=1e-4)
  assert info.fingerprint == whole.fingerprint
  assert (info.num_train, info.num_test) == (32, 8)
  # The data that they were made of are as before.
  assert whole.condition_labels is None and whole.event_size == 4

  model = configuration.make_config(
    dataset=name, condition_on=names, num_validation=0).model
  assert model.schema.function().types == schema.function().types
  assert model.condition_size == 2
  assert [column.position for column in schema.conditions] == [3, 0]


def test_conditions_that_data_do_not_have(tmp_path):
  labels = np.arange(40) % 2
  np.savez(tmp_path / 'own.npz', x=_ROWS, label=labels, condition=labels)
  table, array = _table(tmp_path), f'array:{tmp_path}/own.npz'
  testing.check_refusals(lambda x: datasets.info(x[0]).with_condition(x[1]), [
    (('digits', ['label', 'label']), 'condition_on=label,label: expected'),
    (('digits', ['condition']), 'condition_on=condition: expected label.'),
    (('2d/moons', ['label']), 'condition_on=label: expected none. 2d/moons'),
    ((array, ['a']), 'condition_on=a: expected label or condition. array:'),
    ((table, ['a', 'label']),
     f'condition_on=a,label: expected columns of {table}: a, b b, c, d.'),
    ((table, ['a', 'a']), f'condition_on=a,a: expected columns of {table}: a'),
    ((table, ['a', 'c', 'd', 'b b']), 'condition_on=a,c,d,b b: expected')])
