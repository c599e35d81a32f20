"""The requests that TensorFlow Serving warms up with are answered."""

import os
import sys

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tf_resflow import serving


def test_every_signature_is_warmed_up_once(exported, signatures):
  records = tf.data.TFRecordDataset(os.path.join(
      exported, 'assets.extra', 'tf_serving_warmup_requests'))
  logs = [prediction_log_pb2.PredictionLog.FromString(record)
          for record in records.as_numpy_iterator()]
  requests = [log.predict_log.request for log in logs]
  assert [r.model_spec.signature_name for r in requests] == [
      'log_prob', 'sample', 'encode', 'decode', 'classify']
  for request in requests:
    signature = signatures[request.model_spec.signature_name]
    outputs = signature(**{
        name: tf.constant(tf.make_ndarray(proto))
        for name, proto in request.inputs.items()})
    assert set(outputs) == set(signature.structured_outputs)
    for output in outputs.values():
      assert output.shape[0] == 1


def test_missing_package_names_the_extra(
    model, estimator, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow_serving.apis', None)
  with pytest.raises(ValueError, match=r"'tf_resflow\[serving\]', or .*warmup"):
    serving.export(model, str(tmp_path / '1'), estimator)
  assert os.listdir(tmp_path) == []
