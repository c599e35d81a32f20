"""Estimators behave as those of scikit-learn."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
from sklearn import base
from sklearn import model_selection
from sklearn import pipeline
from sklearn import preprocessing
from sklearn.utils import estimator_checks
from tensorflow.python.eager import context

from tf_resflow import errors
from tf_resflow import sklearn as estimators

_SHORT = {'num_steps': 2, 'num_blocks': 1, 'hidden_units': (4,),
          'base': 'normal', 'settings': {'refit': False, 'sample_every': 0}}


def _rows(num_rows, seed=0):
  return np.random.default_rng(seed).normal([3.0, -1.0], size=[num_rows, 2])


def test_parameters_are_settings_and_seeds():
  frame = pd.DataFrame(_rows(60), columns=['a', 'b'])
  estimator = estimators.DensityEstimator(
      **_SHORT | {'settings': _SHORT['settings'] | {'batch_size': 16}},
      column_types=['a:heavy'])
  first, second = (base.clone(estimator).fit(frame) for _ in range(2))
  config = first.flow_.run.config
  assert (config.optimizer.batch_size, config.optimizer.num_steps) == (16, 2)
  assert first.flow_.schema.names == tuple(first.feature_names_in_) == (
      'a', 'b')
  assert first.flow_.schema.types[0].startswith('heavy')
  np.testing.assert_array_equal(
      first.score_samples(frame), second.score_samples(frame))
  assert first.score(frame) == pytest.approx(
      np.mean(first.flow_.log_prob(frame)), rel=1e-5)
  samples = first.sample(1000, random_state=0)
  np.testing.assert_allclose(samples.mean(axis=0), [3.0, -1.0], atol=0.4)
  np.testing.assert_array_equal(samples, first.sample(1000, random_state=0))


@pytest.mark.slow
def test_searches_and_pipelines():
  """Flows of standardised rows lose the logarithm of the scales."""
  x = _rows(90)
  search = model_selection.GridSearchCV(
      estimators.DensityEstimator(**_SHORT), {'num_blocks': [1, 2]}, cv=2)
  assert search.fit(x).best_params_['num_blocks'] in (1, 2)
  scores = model_selection.cross_val_score(pipeline.make_pipeline(
      preprocessing.StandardScaler(), estimators.DensityEstimator(**_SHORT)),
      x, cv=2)
  np.testing.assert_allclose(scores, -2.9, atol=0.4)


def test_a_share_of_new_rows_is_odd():
  detector = estimators.OutlierDetector(
      **_SHORT, num_validation=200, alpha=0.1).fit(_rows(600))
  share = np.mean(detector.predict(_rows(2000, seed=1)) < 0)
  assert 0.05 < share < 0.16  # 0.1 +- 3 standard errors of both.
  odd = [[30.0, 30.0]]
  assert detector.predict(odd) == -1
  np.testing.assert_allclose(
      detector.decision_function(odd),
      detector.score_samples(odd) - detector.offset_)
  with pytest.raises(errors.InvalidValueError, match='^alpha=2: expected'):
    estimators.OutlierDetector(alpha=2).fit(_rows(10))
  with pytest.raises(ValueError, match='2 features'):
    detector.predict([[1.0, 2.0, 3.0]])
  x = _rows(70, seed=2)
  np.testing.assert_array_equal(
      detector.score_samples(x)[::-1],
      np.concatenate([detector.score_samples(x[i:i + 1])
                      for i in reversed(range(70))]))


@pytest.mark.slow
def test_former_fits_leave_neither_flows_nor_graphs():
  """The graphs of custom gradients, too, which TensorFlow would keep."""
  estimator, flows, num_graphs = estimators.DensityEstimator(**_SHORT), [], []
  for _ in range(3):
    flows.append(weakref.ref(estimator.fit(_rows(60)).flow_))
    gc.collect()
    num_graphs.append(len(context.context().list_function_names()))
  assert flows[0]() is flows[1]() is None and flows[2]() is not None
  assert num_graphs[1] == num_graphs[2]


@pytest.mark.slow
def test_checks_of_scikit_learn_pass():
  results = estimator_checks.check_estimator(estimators.OutlierDetector(
      **_SHORT, input_noise=0.0), on_skip=None)
  assert {r['check_name'] for r in results if r['status'] != 'passed'} <= {
      'check_array_api_input'}  # Skipped without a variable of SciPy.
  assert len(results) > 40
