"""Arrays and columns come back whole, or in part; what is none is named."""

import types
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import schemas
from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow import layers
from tf_resflow.columns import schema as schema_lib
from tf_resflow.evaluation import example_files

_SHAPE = (4, 4, 1)
_FACTS = {'dataset': 'digits', 'split': 'test', 'num_levels': 17,
          'image_shape': (8, 8, 1)}


def _images(num_images=5):
  return np.random.default_rng(1).uniform(size=[num_images, *_SHAPE])


def _check_refused(path, read_fn, table):
  """Checks what is said of files with arrays; see `testing.check_refusals`."""

  def read(arrays):
    np.savez(path, **arrays)
    return read_fn(path)

  testing.check_refusals(read, table)


def test_all_arrays_or_some(tmp_path):
  path = tmp_path / 'a.npz'
  np.savez(path, x=np.arange(3), y=np.ones([2, 2]))
  arrays = example_files.read_arrays(path, 'inputs')
  assert list(arrays) == ['x', 'y']
  np.testing.assert_array_equal(arrays['x'], [0, 1, 2])
  np.testing.assert_array_equal(arrays['y'], np.ones([2, 2]))
  # What is not read may be damaged: objects would run code where they are
  # loaded.
  np.savez(path, x=np.arange(3), y=np.array([{}]))
  arrays = example_files.read_arrays(path, 'inputs', keys=('x',))
  assert arrays['y'] is None
  np.testing.assert_array_equal(arrays['x'], [0, 1, 2])
  with pytest.raises(ValueError, match='It cannot be read: Object arrays'):
    example_files.read_arrays(path, 'inputs')


def test_reads_inputs(tmp_path):
  for dtype in (np.float16, np.float32, np.float64):
    x = _images().astype(dtype)
    np.savez(tmp_path / 'x.npz', x=x)
    found = example_files.read_inputs(tmp_path / 'x.npz', _SHAPE)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, x)


def test_bad_inputs(tmp_path):
  path = tmp_path / 'x.npz'
  start = f'inputs={path}: expected an .npz file'
  _check_refused(path, lambda path: example_files.read_inputs(path, _SHAPE), [
      ({'images': _images()}, f'{start}...Its arrays are images.'),
      ({'x': np.uint8(_images())}, f'{start}...Its x is uint8 [5, 4, 4, 1].'),
      ({'x': _images()[..., 0]}, f'{start}...Its x is float64 [5, 4, 4].'),
      ({'x': _images(0)}, f'{start}...Its x is float64 [0, 4, 4, 1].'),
      ({'x': 255 * _images()}, f'{start}...Its x lies in [..., 25'),
      ({'x': _images() - 0.5}, f'{start}...Its x lies in [-0.4'),
      ({'x': np.full([1, 4, 4, 1], np.nan)}, f'{start}...lies in [nan, nan].')
  ])


def test_what_is_no_archive(tmp_path):
  np.save(tmp_path / 'x.npy', _images())  # One array alone is none either.
  np.savez_compressed(tmp_path / 'damaged.npz', x=_images())
  damaged = bytearray((tmp_path / 'damaged.npz').read_bytes())
  damaged[100:140] = bytes(255 - b for b in damaged[100:140])
  (tmp_path / 'damaged.npz').write_bytes(damaged)
  with zipfile.ZipFile(tmp_path / 'other.npz', 'w') as archive:
    archive.writestr('x', b'no array')
  testing.check_refusals(
      lambda path: example_files.read_arrays(path, 'compare'), [
          (tmp_path / name, f'compare={tmp_path / name}: expected an .npz file')
          for name in ('', 'none.npz', 'x.npy', 'damaged.npz')] + [
          (tmp_path / 'other.npz', '...Its x is not an array')])


def test_bits_are_read_for_the_examples_of_which_they_are(tmp_path):
  path = tmp_path / 'b.npz'
  bits = {'gaussian': np.array([2.0, 3.0, 4.0]), 'flow': np.ones([3])}
  example_files.write_bits(path, bits, _FACTS)
  np.testing.assert_equal(example_files.read_bits(path, 3, _FACTS), bits)
  start = f'compare={path}: expected bits/dim of the same examples, as'
  testing.check_refusals(
      lambda other: example_files.read_bits(path, 3, _FACTS | other), [
          ({'dataset': 'mnist'}, f'{start}...Its dataset is digits, not mnist'),
          ({'image_shape': (16, 16, 1)},
           f'{start}...Its image_shape is [8, 8, 1], not [16, 16, 1')])


def test_bad_files_of_bits(tmp_path):
  _check_refused(
      tmp_path / 'b.npz',
      lambda path: example_files.read_bits(path, 3, _FACTS), [
          ({}, '...It holds no model'),
          ({'a': np.ones([4])}, '...Its a is float64 [4], not finite floats'),
          ({'a': np.ones([3], np.int32)}, '...Its a is int32 [3]'),
          ({'a': [1.0, np.nan, np.inf]}, '...Its a is float64 [3]')])


_LABELS = layers.ConditionSpec((), num_labels=3)
_NUMBERS = layers.ConditionSpec((2,))


def _flow_of(spec, *conditions):
  """Returns what readers know of a flow p(x|c) of numbers x0."""
  return types.SimpleNamespace(
      condition_spec=spec, event_shape=(1,), is_image=False,
      schema=schemas.make_schema('x0', conditions=conditions) if conditions
      else schema_lib.Schema.unnamed(1).with_columns([
          schema_lib.Column(role='condition')]))


def test_reads_conditions(tmp_path):
  one = layers.ConditionSpec((1,))
  for spec, names, condition in (
      (_LABELS, [], np.array([2, 0, 1], np.uint8)),
      (_NUMBERS, ['b', 'a'], np.array([[0.1, -2.0]])),
      (_NUMBERS, ['b', 'a'], np.array([[3, 4]])),
      (one, [], np.array([[0.1], [2.0]]))):
    flow = _flow_of(spec, *names)
    names = ['x0', *flow.schema.condition_names]
    x = np.arange(len(condition))[:, np.newaxis] + 0.5
    rows = condition.reshape([-1, len(names) - 1])
    splits.write_table(tmp_path / 'c.csv', names, np.hstack([x, rows]))
    # What else there is may be damaged.
    np.savez(tmp_path / 'c.npz', condition=condition, x=x, y=np.array([{}]))
    for name in ('c.npz', 'c.csv'):
      found = example_files.read_condition(tmp_path / name, flow)
      np.testing.assert_array_equal(found, condition)
      both = example_files.read_rows(tmp_path / name, flow)
      np.testing.assert_array_equal(both.condition, condition)
      np.testing.assert_array_equal(both.x, x)
  np.savez(tmp_path / 'flat.npz', condition=[0.1, 2.0])
  np.testing.assert_array_equal(
      example_files.read_condition(tmp_path / 'flat.npz', flow), condition)


def test_what_are_no_conditions(tmp_path):
  path, flow = tmp_path / 'c.npz', _flow_of(_LABELS)
  start = f'condition={path}: expected an .npz file with '
  _check_refused(path, lambda path: example_files.read_condition(
      path, flow, 'condition'), [
          ({'label': np.zeros(3, int)}, f'{start}...Its arrays are label.'),
          ({'condition': np.zeros(3)}, f'{start}...a tensor float64 (3,).'),
          ({'condition': np.zeros([0], int)}, '...It holds none.'),
          ({'condition': [0, 3]}, f'{start}...It holds 3.')])
  path = tmp_path / 'c.csv'
  for wrong in ('0.5', '3.0', '-1.0'):
    path.write_text(f'x0,condition\n0.5,1.0\n0.1,{wrong}\n')
    testing.check_refusal(
        example_files.read_condition, {'path': path, 'model': flow},
        f'inputs={path}: expected a table with condition: {_LABELS.expected}')


@pytest.fixture(scope='module')
def model():
  return flows.make_flow_without_blocks(num_levels=16)


def _integers(num_images=7):
  return np.random.default_rng(2).integers(0, 16, [num_images, 4, 4, 1])


@pytest.mark.parametrize('key, dtype', [('x', np.uint8), ('image', np.int64)])
def test_integers_are_levels(tmp_path, model, key, dtype):
  levels, labels = _integers(), np.arange(7) % 3
  np.savez(tmp_path / 'a.npz', label=labels, **{key: levels.astype(dtype)})
  found = example_files.read_images(tmp_path / 'a.npz', model)
  assert (found.num_examples, found.num_levels) == (7, 16)
  assert found.arrays['x'].dtype == tf.uint8
  np.testing.assert_array_equal(found.arrays['x'], levels)
  np.testing.assert_array_equal(found.arrays['label'], labels)


def test_floats_are_what_they_are(tmp_path, model):
  x = np.random.default_rng(0).uniform(size=[7, 4, 4, 1])
  # As bin/sample writes them: the bytes of the picture stand beside x.
  np.savez(tmp_path / 'a.npz', x=x, image=np.zeros([7, 4, 4, 1], np.uint8))
  split = example_files.read_images(tmp_path / 'a.npz', model)
  (found,) = datasets.evaluation_batches(split, batch_size=7, seed=3)
  np.testing.assert_array_equal(found['x'], x)
  np.testing.assert_array_equal(found['label'], np.full(7, -1))


def test_bad_images(tmp_path, model):
  path = tmp_path / 'a.npz'
  start = f'ood_dataset={path}: expected an .npz file'
  array = (f'{start} with an array x or image [n, 4, 4, 1], integers from 0 to '
           '15 or dequantised floats in [0, 1), and perhaps integers label '
           '[n]. Its')
  _check_refused(
      path,
      lambda path: example_files.read_images(path, model, 'ood_dataset'), [
          ({'images': _integers()}, f'{array} arrays are images.'),
          ({'x': _integers() + 1}, f'{array} x lies in [1, 16].'),
          ({'x': 0.1 * _integers()}, f'{array} x lies in [0.0, 1.5].'),
          ({'x': _integers(), 'label': np.arange(6)},
           f'{array} label is int64 [6].'),
          ({'x': _integers(), 'label': np.ones([7])},
           f'{array} label is float64 [7].')])
