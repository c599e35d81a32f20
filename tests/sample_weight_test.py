"""Weights of rows, from a table or an array to losses, figures and p-values."""

import numpy as np
import pandas as pd
import pytest

from tests import testing
import tf_resflow
from tf_resflow import datasets
from tf_resflow.evaluation import statistics

_SHORT = {'num_steps': 2, 'num_blocks': 1, 'hidden_units': (8,),
          'base': 'normal', 'refit': False, 'sample_every': 0,
          'verbose': False}


def _data(num_rows=300):
  """Returns correlated rows, of which a third is far away, and weights."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=[num_rows, 2]) @ [[1.0, 0.8], [0.0, 0.6]]
  weight = rng.integers(0, 3, num_rows).astype(float)
  x[weight == 0.0] += 50.0
  return x, weight


@pytest.fixture(name='flow', scope='module')
def _flow(tmp_path_factory):
  """A flow of weighted rows in groups of three."""
  x, weight = _data()
  return tf_resflow.fit(
      pd.DataFrame(x, columns=['a', 'b']), tmp_path_factory.mktemp('run'),
      sample_weight=weight, groups=np.arange(300) // 3, test=0.3, **_SHORT)


def test_moments_and_figures_are_weighted(flow):
  run, parts = flow.run, {
      name: flow.run.open(name) for name in ('train', 'validation', 'test')}
  assert [len(part.weights) for part in parts.values()] == [168, 42, 90]
  # Groups stay together.
  x, weight = _data()
  is_test = np.isin(x[:, 0].astype('f4'), parts['test'].arrays['x'][:, 0])
  assert set(is_test.reshape([100, 3]).sum(axis=1)) == {0, 3}
  train = parts['train']
  rows = np.repeat(
      train.arrays['x'].numpy(), np.rint(
          train.weights / train.weights[train.weights > 0].min()).astype(int),
      axis=0)
  mean, std = flow.schema.moments('modelled')
  np.testing.assert_allclose(mean, rows.mean(axis=0), atol=1e-5)
  np.testing.assert_allclose(std, rows.std(axis=0), rtol=1e-5)
  assert run.report['nats'] == pytest.approx(-np.average(
      flow.score_samples(x[is_test]), weights=weight[is_test]), abs=1e-4)
  assert run.curves['validation_nats'][-1] == pytest.approx(-np.average(
      flow.score_samples(parts['validation'].arrays['x']),
      weights=parts['validation'].weights), abs=1e-4)
  assert run.summary.endswith('(90 weighted examples).')
  assert 'nats_minus_gaussian' not in run.report
  # Nothing is learned from rows of weight 0: losses are those of near rows.
  assert run.curves['noisy_nats'][-1] < 5.0


def test_p_values_and_page_are_weighted(flow, tmp_path):
  x, weight = _data()
  scored = tf_resflow.score(flow, x).frame()
  test = flow.run.open('test')
  np.testing.assert_allclose(
      scored['p_value'], statistics.conformal_p_values(
          scored['log_prob'] + 1e-4,
          flow.score_samples(test.arrays['x']), test.weights), atol=0.02)
  assert scored['p_value'][weight == 0.0].max() < 0.02
  tf_resflow.save_page(flow, tmp_path / 'page.html')
  text = (tmp_path / 'page.html').read_text()
  assert text.count('sample_weight draws rows more than once') == 1


def test_weights_in_a_file(tmp_path):
  """Of training and of test rows."""
  x, weight = _data(40)
  frame = pd.DataFrame(x, columns=['a', 'b']).assign(w=weight)
  frame.to_csv(tmp_path / 'train.csv', index=False)
  frame[:10].to_csv(tmp_path / 'test.csv', index=False)
  name = f'table:{tmp_path}/train.csv'
  files = {'test_file': f'{tmp_path}/test.csv', 'sample_weight': 'w'}
  test = datasets.open_split(name, 'test', **files)
  assert test.event_shape == (2,)
  np.testing.assert_allclose(test.weights, weight[:10] / weight.mean())
  plain, weighted = datasets.info(name), datasets.table(
      frame, sample_weight='w')
  assert plain.schema.names == ('a', 'b', 'w')
  assert weighted.schema.names == ('a', 'b')
  assert weighted.fingerprint != datasets.table(
      frame.assign(w=weight + 1.0), sample_weight='w').fingerprint


def test_weights_of_images():
  x = np.random.default_rng(0).integers(0, 9, [40, 4, 4, 1]).astype(np.uint8)
  weight = np.where(np.arange(40) < 20, 0.5, 1.5)
  info = datasets.array(x, sample_weight=weight, test=0.5)
  split = info.open('train')
  assert info.num_test == 20 == len(split.weights)
  np.testing.assert_allclose(
      split.weights / split.weights.max(),
      weight[datasets.user_files.split_order(40)[20:]] / 1.5)
  batch = next(iter(datasets.training_batches(split, batch_size=4, seed=0)))
  assert batch['weight'].shape == [4]


def test_examples_are_chosen_by_their_weights():
  x, weight = _data()
  split = datasets.array(x, sample_weight=weight).open('train')
  chosen = split.chosen(5000)
  assert len(chosen) == 240 and split.weights[chosen].min() > 0.0
  assert sorted(datasets.array(x).open('train').chosen(5000)) == [*range(240)]


def test_bad_weights():
  x, weight = _data(40)
  frame = pd.DataFrame(x, columns=['a', 'b'])
  testing.check_refusals(
      lambda arguments: tf_resflow.fit(**_SHORT | arguments), [
          ({'data': frame, 'sample_weight': weight[1:]},
           'sample_weight=[39]: expected a column, or an array of 40 rows.'),
          ({'data': frame, 'sample_weight': 'w'}, 'sample_weight=w: expected '
           'columns of table.'),
          ({'data': frame.assign(groups=1), 'groups': weight},
           'groups=an array: expected a column, as the frame has one'),
          ({'data': frame, 'sample_weight': -weight}, 'frame=table: expected a '
           'table of numbers. Its weights of train rows are negative, or all '
           'zero.'),
          ({'data': frame, 'sample_weight': 0.0 * weight},
           '...Its weights of train rows are negative, or all zero.'),
          ({'data': x, 'sample_weight': weight, 'base': 'mixture'},
           'base=mixture cannot be used with sample_weight.'),
          ({'data': x, 'groups': weight},
           'groups=an array: expected the name of a column.'),
          ({'data': x, 'test': 1.5}, 'test=1.5: expected a share in (0, 1)')])
