"""Vectors as tables: written, read back, columns found by their names."""

import numpy as np
import pytest

from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import layers
from tf_resflow import models

_ROWS = np.random.default_rng(0).normal(size=[5, 3])


@pytest.fixture(scope='module', name='model')
def _model():
  return models.VectorFlowConfig(
      event_size=3, num_blocks=1, hidden_units=(2,),
      column_names=('a', 'b "c"', 'd,e')).build()


def test_names(model):
  assert evaluation.column_names(model) == ('a', 'b "c"', 'd,e')
  plain = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(2,)).build()
  assert evaluation.column_names(plain) == ('x0', 'x1')


@pytest.mark.parametrize('spec, expected', [
    (None, ()),
    (layers.ConditionSpec((2,), names=('b', 'a')), ('b', 'a')),
    (layers.ConditionSpec((2,)), ('condition_0', 'condition_1')),
    (layers.ConditionSpec((1,)), ('condition',)),
    (layers.ConditionSpec((), num_labels=3), ('condition',))])
def test_names_of_conditions(spec, expected):
  assert evaluation.condition_names(spec) == expected


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_numbers_come_back(model, tmp_path, dtype):
  rows = _ROWS.astype(dtype)
  path = tmp_path / 'table.csv'
  evaluation.write_table(path, evaluation.column_names(model), rows)
  np.testing.assert_array_equal(
      evaluation.read_rows(
          path, evaluation.column_names(model)).astype(dtype), rows)


def test_columns_in_another_order_among_others(model, tmp_path):
  path = tmp_path / 'table.csv'
  evaluation.write_table(
      path, ['d,e', 'other', 'a', 'b "c"'],
      np.column_stack([_ROWS[:, 2], np.ones(5), _ROWS[:, :2]]))
  # Also such that hold no numbers.
  path.write_text(path.read_text().replace('1.0', 'one'))
  names = evaluation.column_names(model)
  np.testing.assert_array_equal(evaluation.read_rows(path, names), _ROWS)
  # Some of them, in the order that is asked for.
  np.testing.assert_array_equal(
      evaluation.read_rows(path, ('d,e', 'a')), _ROWS[:, [2, 0]])


@pytest.mark.parametrize('text, message', [
    ('a,d\n1,2\n', 'It has no b "c", d,e.'),
    ('a,"b ""c""","d,e"\n', 'It has no lines of numbers.'),
    ('a,"b ""c""","d,e"\n1,x,2\n', "Line 2, column b \"c\" holds 'x'"),
])
def test_bad_tables(model, tmp_path, text, message):
  path = tmp_path / 'table.csv'
  path.write_text(text)
  with pytest.raises(errors.InvalidValueError) as error:
    evaluation.read_rows(path, evaluation.column_names(model))
  assert str(error.value).startswith(f'inputs={path}: expected a .csv file of')
  assert message in str(error.value)


def test_as_many_names_as_columns(tmp_path):
  with pytest.raises(errors.InvalidValueError, match='names=2: expected one p'):
    evaluation.write_table(tmp_path / 'table.csv', ['a', 'b'], _ROWS)
  assert not (tmp_path / 'table.csv').exists()


def test_columns_behind_those_of_a_file(tmp_path):
  source, path = tmp_path / 'source.csv', tmp_path / 'scores.csv'
  source.write_text('id,"d,e"\nfirst,01.50\n\n"a ""b""",2\n')
  evaluation.append_columns(
      source, path, {'score': np.float32([0.1, 2.0]), 'rank': [1, 2]})
  assert path.read_text() == (
      'id,"d,e",score,rank\nfirst,01.50,0.1,1\n"a ""b""",2,2.0,2\n')
  with pytest.raises(errors.InvalidValueError) as error:
    evaluation.append_columns(path, source, {'score': [3, 4]})
  assert 'It has a column score already.' in str(error.value)
  assert source.read_text().startswith('id,"d,e"\nfirst')


def test_columns_behind_those_of_a_file_without_names(tmp_path):
  source = tmp_path / 'source.csv'
  source.write_text('1.5,2.5\n3.5,4.5\n')
  evaluation.append_columns(source, tmp_path / 'b.csv', {'score': [7, 8]})
  assert (tmp_path / 'b.csv').read_text() == (
      'x0,x1,score\n1.5,2.5,7\n3.5,4.5,8\n')
