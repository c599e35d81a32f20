"""What conditions are: facts from labels, columns and arrays; in batches."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.configuration import registries
from tf_resflow.datasets import condition_info
from tf_resflow.datasets import pipeline

_ROWS = np.random.default_rng(0).normal(
  [5.0, -100.0, 0.25, 1.0], [1.0, 20.0, 0.01, 3.0], [40, 4]
)


def _table(tmp_path):
  path = tmp_path / 'own.csv'
  np.savetxt(path, _ROWS, fmt='%.17g', delimiter=',', header='a,b b,c,d',
             comments='')
  return f'table:{path}'


def _array(tmp_path, **arrays):
  path = tmp_path / 'own.npz'
  np.savez(path, x=_ROWS, **arrays)
  return f'array:{path}'


def test_facts_are_those_that_a_model_asks_for():
  facts = condition_info.ConditionInfo().facts()
  for kind in ('image', 'vector'):
    fields = {f.name: f for f in registries.MODELS.get(kind).fields()}
    assert facts == {name: fields[name].default for name in facts}
    assert {name for name, f in fields.items() if not f.is_flag and
            name.startswith('condition')} == set(facts)
  with pytest.raises(AttributeError):
    condition_info.ConditionInfo().size = 3


def test_labels():
  info = datasets.info('digits')
  assert info.condition is None
  assert info.condition_facts() == condition_info.ConditionInfo().facts()
  given = info.conditioned(['label'])
  assert given.condition == condition_info.ConditionInfo(
    num_labels=10, is_label=True
  )
  # Nothing else changes: labels were no part of x.
  assert given.facts() == info.facts()
  model = configuration.make_config(condition=('label',)).model
  assert (model.condition_labels, model.condition_size) == (10, 0)
  assert model.condition_mean == model.condition_names == ()


@pytest.mark.parametrize('names', [
  ('c',), ('d', 'a'), ('b b', 'a', 'd'),
])
def test_columns_of_a_table(tmp_path, names):
  name = _table(tmp_path)
  whole, info = datasets.info(name), datasets.info(name).conditioned(names)
  order = ('a', 'b b', 'c', 'd')
  chosen = [order.index(name) for name in names]
  kept = [i for i in range(4) if i not in chosen]
  assert info.columns == tuple(order[i] for i in kept)
  assert info.event_shape == (len(kept),)
  assert info.condition.names == names and info.condition.size == len(names)
  assert info.condition.num_labels == 0
  train = datasets.load(name, 'train').arrays['x'].numpy().astype(np.float64)
  for mean, std, places in (
    (info.mean, info.std, kept),
    (info.condition.mean, info.condition.std, chosen),
  ):
    np.testing.assert_allclose(mean, train[:, places].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, train[:, places].std(axis=0), rtol=1e-4)
  assert info.fingerprint == whole.fingerprint
  assert (info.num_train, info.num_test) == (32, 8)
  # The data that they were made of are as before.
  assert whole.condition is None and whole.event_size == 4

  model = configuration.make_config(dataset=name, condition=names).model
  assert model.column_names == info.columns and model.column_mean == info.mean
  assert model.condition_names == names
  assert model.condition_mean == info.condition.mean
  assert model.condition_std == info.condition.std
  assert (model.event_size, model.condition_size) == (len(kept), len(names))


def test_entries_of_an_array(tmp_path):
  rng = np.random.default_rng(1)
  numbers = rng.normal([3.0, -1.0], [2.0, 0.1], [40, 2])
  info = datasets.info(_array(tmp_path, condition=numbers))
  # Known, and of no matter until a model takes it.
  assert info.entry_fn is not None and info.condition is None
  assert info.condition_facts()['condition_size'] == 0
  given = info.conditioned(['condition'])
  train = given.load_fn('train')[2]
  assert len(train) == 32
  np.testing.assert_allclose(given.condition.mean, train.mean(axis=0))
  np.testing.assert_allclose(given.condition.std, train.std(axis=0))
  assert given.condition.names == () and given.event_size == 4

  info = datasets.info(_array(tmp_path, condition=np.arange(40) % 7))
  assert info.conditioned(['condition']).condition == (
    condition_info.ConditionInfo(num_labels=7)
  )


@pytest.mark.parametrize('kind, names, message', [
  ('digits', ['label', 'label'], 'condition=label,label: expected label. It '
   'is what digits has beside x.'),
  ('digits', ['a'], 'condition=a: expected label.'),
  ('digits', [], 'condition=: expected label.'),
  ('2d/moons', ['label'], 'condition=label: expected none with dataset=2d/'
   'moons. These data have neither labels nor conditions, nor columns with'),
  ('patches32', ['label'], 'condition=label: expected none with dataset=pat'),
  ('plain', ['condition'], 'condition=condition: expected none with dataset='),
  ('plain', ['0'], 'condition=0: expected none with dataset=array'),
  ('label', ['condition'], 'condition=condition: expected label. It is what'),
  ('both', ['a'], 'condition=a: expected label or condition. It is what'),
  ('both', ['label', 'condition'], 'condition=label,condition: expected label'),
  ('table', ['a', 'label'], 'condition=a,label: expected columns of table:'),
  ('table', ['a', 'a'], 'condition=a,a: expected columns of table:'),
  ('table', ['B b'], 'condition=B b: expected columns of table:'),
  ('table', ['a', 'c', 'd', 'b b'], 'condition=a,c,d,b b: expected fewer '
   'columns than there are. The others are what is modelled.'),
])
def test_conditions_that_data_do_not_have(tmp_path, kind, names, message):
  labels = np.arange(40) % 2
  name = {
    'plain': lambda: _array(tmp_path),
    'label': lambda: _array(tmp_path, label=labels),
    'both': lambda: _array(tmp_path, label=labels, condition=labels),
    'table': lambda: _table(tmp_path),
  }.get(kind, lambda: kind)()
  with pytest.raises(errors.InvalidValueError) as error:
    datasets.info(name).conditioned(names)
  assert splits.one_line(error).startswith(message), error.value
  if kind == 'table' and len(names) < 4:
    assert splits.one_line(error).endswith('own.csv: a, b b, c, d.')
  if names:
    with pytest.raises(errors.InvalidValueError, match='^condition='):
      datasets.load(name, 'train', condition=names)


# Batches: a condition stays with its example.

_NUM = 10
_IMAGES = np.random.default_rng(2).integers(
  0, 256, [_NUM, 2, 3, 1], dtype=np.uint8)
_CONDITIONS = np.random.default_rng(3).normal(size=[_NUM, 3]).astype(
  np.float32)


def _split(conditions=_CONDITIONS):
  """Returns images whose labels say nothing of their places."""
  return datasets.Split(
    tf.data.Dataset.from_tensor_slices({
      'x': _IMAGES, 'label': np.zeros([_NUM], np.int32),
      'condition': conditions}),
    _NUM, (2, 3, 1), num_levels=256,
  )


def _conditions_of(x, flip=False):
  """Returns what goes with images, found by these in the data."""
  places = []
  for image in datasets.quantize(x, 256).numpy():
    is_same = (_IMAGES == image).all(axis=(1, 2, 3))
    if flip:
      is_same |= (_IMAGES[:, :, ::-1] == image).all(axis=(1, 2, 3))
    (place,) = np.flatnonzero(is_same)
    places.append(place)
  return _CONDITIONS[places]


@pytest.mark.parametrize('max_in_memory', [_NUM, 4])
@pytest.mark.parametrize('batch_size', [4, 25])
def test_shuffled_batches(max_in_memory, batch_size):
  def rows(start_step, num_batches):
    batches = datasets.training_batches(
      _split(), batch_size=batch_size, seed=3, start_step=start_step,
      flip=True, max_in_memory=max_in_memory)
    assert batches.element_spec['condition'] == tf.TensorSpec(
      [batch_size, 3], tf.float32)
    return list(itertools.islice(batches.as_numpy_iterator(), num_batches))

  whole = rows(0, 8)
  for row in whole:
    np.testing.assert_array_equal(
      row['condition'], _conditions_of(row['x'], flip=True))
  # They are shuffled, and otherwise in every epoch.
  first = np.concatenate([row['condition'] for row in whole])[:2 * _NUM]
  assert (first[:_NUM] != _CONDITIONS).any()
  assert (first[:_NUM] != first[_NUM:]).any()
  for row, expected in zip(rows(5, 3), whole[5:], strict=True):
    np.testing.assert_array_equal(row['condition'], expected['condition'])


@pytest.mark.parametrize('in_memory', [True, False])
@pytest.mark.parametrize('batch_size', [4, 25])
def test_evaluation_is_in_order(in_memory, batch_size, monkeypatch):
  if not in_memory:
    monkeypatch.setattr(pipeline, 'MAX_IN_MEMORY', 3)
  rows = list(datasets.evaluation_batches(
    _split(), batch_size=batch_size, seed=0).as_numpy_iterator())
  for row in rows:
    np.testing.assert_array_equal(row['condition'], _conditions_of(row['x']))
  np.testing.assert_array_equal(
    np.concatenate([row['condition'] for row in rows]), _CONDITIONS)
  (few,) = datasets.evaluation_batches(
    _split(), batch_size=25, seed=0, num_examples=3)
  np.testing.assert_array_equal(few['condition'], _CONDITIONS[:3])


def test_labels_keep_their_type():
  labels = np.arange(_NUM, dtype=np.int32)
  for batches in (
    datasets.training_batches(_split(labels), batch_size=4, seed=0),
    datasets.evaluation_batches(_split(labels), batch_size=4, seed=0),
  ):
    spec = batches.element_spec['condition']
    assert (spec.dtype, spec.shape.rank) == (tf.int32, 1)


@pytest.mark.parametrize('fn', ['training_batches', 'evaluation_batches'])
def test_the_stream_is_that_without_conditions(embedded_dir, fn):
  plain, given = (
    next(getattr(datasets, fn)(
      datasets.load('digits', 'train', data_dir=embedded_dir, condition=names),
      batch_size=64, seed=0).as_numpy_iterator())
    for names in ((), ('label',))
  )
  assert set(given) - set(plain) == {'condition'}
  for key, value in plain.items():
    np.testing.assert_array_equal(given[key], value)
  np.testing.assert_array_equal(given['condition'], plain['label'])
