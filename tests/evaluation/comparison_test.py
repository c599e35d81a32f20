"""Paired comparisons through files of bits/dim."""

import numpy as np
import pytest

from tf_resflow.evaluation import comparison

_FACTS = {'dataset': 'digits', 'split': 'test', 'num_levels': 17,
          'image_shape': (8, 8, 1)}


def test_what_was_written_is_read(tmp_path):
  bits = {'gaussian': np.array([2.0, 3.0, 4.0]), 'flow': np.ones([3])}
  comparison.write_bits(tmp_path / 'b.npz', bits, _FACTS)
  found = comparison.read_bits(tmp_path / 'b.npz', 3, _FACTS)
  assert found.keys() == bits.keys()
  for name, values in bits.items():
    np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(('name', 'value', 'said'), [
    ('dataset', 'mnist', 'of the dataset mnist. It is of digits; only the'),
    ('split', 'train', 'of the split train. It is of test; only the same'),
    ('num_levels', 32, 'of the num_levels 32. It is of 17; only the same'),
    ('image_shape', (16, 16, 1), r'\[16, 16, 1\]. It is of \[8, 8, 1\]; only'),
])
def test_other_examples_are_refused(tmp_path, name, value, said):
  path = tmp_path / 'b.npz'
  comparison.write_bits(path, {'gaussian': np.ones([3])}, _FACTS)
  with pytest.raises(ValueError, match=said) as error:
    comparison.read_bits(path, 3, _FACTS | {name: value})
  assert str(error.value).startswith(f'compare={path}: expected a file of the')


@pytest.mark.parametrize(('arrays', 'said'), [
    ({}, 'with bits/dim. It holds no model'),
    ({'a': np.ones([4])}, r'floats \(3,\) .* Its a has the shape \(4,\)'),
    ({'a': np.ones([3], np.int32)}, 'Its a has the dtype int32'),
    ({'a': np.array([1.0, np.nan, np.inf])}, '2 of its a are not finite'),
    ({'a': np.array([{}])}, 'expected an .npz file'),
])
def test_bad_files(tmp_path, arrays, said):
  np.savez(tmp_path / 'b.npz', **arrays)
  with pytest.raises(ValueError, match=said):
    comparison.read_bits(tmp_path / 'b.npz', 3, _FACTS)
  (tmp_path / 'b.npz').write_bytes(b'PK\x03\x04cut')
  with pytest.raises(ValueError, match='expected an .npz file'):
    comparison.read_bits(tmp_path / 'b.npz', 3, _FACTS)


def test_differences_are_negative_where_the_model_is_better():
  bits = np.array([1.0, 2.0, 3.0])
  found = comparison.paired_differences(
      bits, {'worse': bits + [0.1, 0.2, 0.3], 'better': bits - 1.0})
  assert found['worse'].mean == pytest.approx(-0.2)
  assert found['worse'].stderr == pytest.approx(0.1 / np.sqrt(3))
  assert found['better'].mean == pytest.approx(1.0)
