"""Facts about vectors."""

import numpy as np

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow.configuration import registries


def test_facts_are_those_that_a_model_asks_for():
  info = datasets.VectorInfo(
    name='two', event_size=2, mean=(1.0, 2.0), std=(3.0, 4.0),
    columns=('a', 'b'),
  )
  assert info.model == 'vector' and info.event_shape == (2,)
  fields = registries.MODELS.get('vector').fields()
  assert {f.name for f in fields if not f.is_flag} <= {
    'seed', 'data_fingerprint', *info.facts(), *info.condition_facts()
  }


def test_a_model_standardises_by_them(monkeypatch):
  info = datasets.VectorInfo(
    name='two', event_size=2, mean=(1.0, 2.0), std=(3.0, 4.0),
    columns=('a', 'b'),
  )
  monkeypatch.setitem(registries.DATASETS._entries, 'two', info)
  model = configuration.make_config(dataset='two', num_blocks=1).model
  assert (model.column_mean, model.column_std, model.column_names) == (
    (1.0, 2.0), (3.0, 4.0), ('a', 'b')
  )
  (first, *_) = model.build().bijection.elementary()
  assert (first.mean, first.std) == ((1.0, 2.0), (3.0, 4.0))


def test_points_of_the_plane_stay_as_they_are():
  info = datasets.info('2d/rings')
  assert info.mean == info.std == info.columns == ()
  assert (info.num_train, info.num_test) == (20_000, 20_000)


def test_columns_are_split_without_copies_of_facts_that_there_are_not():
  rows = np.arange(12.0).reshape([4, 3])
  info = datasets.VectorInfo(
    name='three', event_size=3, columns=('a', 'b', 'c'),
    load_fn=lambda part: (rows, None),
  ).conditioned(('c', 'a'))
  assert info.facts()['column_names'] == ('b',)
  assert info.mean == info.std == ()
  assert info.condition_facts() == {
    'condition_labels': 0, 'condition_size': 2, 'condition_mean': (),
    'condition_std': (), 'condition_names': ('c', 'a')}
  x, labels, condition = info.load_fn('train')
  np.testing.assert_array_equal(x, rows[:, 1:2])
  np.testing.assert_array_equal(condition, rows[:, [2, 0]])
  assert labels is None
