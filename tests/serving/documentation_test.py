"""The request bodies of docs/serving.md are answered by a model of that size.

TensorFlow Serving itself does not run here: its part, JSON or protocol buffers
to tensors, is played by `client.answer` and `tf.make_ndarray`.
"""

import json
import pathlib
import re

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.serving import client

_TEXT = pathlib.Path(__file__).resolve().parents[2].joinpath(
    'docs', 'serving.md').read_text(encoding='utf-8')


def _blocks(language):
  return re.findall(
      rf'^```{language}\n(.*?)^```', _TEXT, re.MULTILINE | re.DOTALL)


def test_rest_bodies(signatures):
  replies = {}
  for block in _blocks('json'):
    body = json.loads(block)
    assert set(body) == {'signature_name', 'inputs'}
    replies[body['signature_name']] = client.answer(signatures, body)
  shapes = {
      name: {k: np.shape(v) for k, v in reply['outputs'].items()}
      for name, reply in replies.items()}
  assert shapes == {
      'log_prob': {'log_prob': (1,), 'bits_per_dim': (1,)},
      'sample': {'images': (4, 8, 8, 1)},
      'decode': {'images': (1, 8, 8, 1)}}


def test_grpc_request(signatures, monkeypatch):

  class Stub:
    """Answers as the server does, without one."""

    def __init__(self, channel):
      assert type(channel).__module__.startswith('grpc.')

    def Predict(self, request, timeout):  # noqa: N802
      assert timeout > 0
      request = predict_pb2.PredictRequest.FromString(
          request.SerializeToString())
      assert request.model_spec.name == 'digits'
      outputs = signatures[request.model_spec.signature_name](**{
          name: tf.constant(tf.make_ndarray(proto))
          for name, proto in request.inputs.items()})
      reply = predict_pb2.PredictResponse()
      for name, output in outputs.items():
        reply.outputs[name].CopyFrom(tf.make_tensor_proto(output.numpy()))
      return reply

  monkeypatch.setattr(
      prediction_service_pb2_grpc, 'PredictionServiceStub', Stub)
  (block,) = [b for b in _blocks('python') if b.startswith('import grpc')]
  names = {}
  exec(compile(block, 'docs/serving.md', 'exec'), names)
  expected = signatures['log_prob'](
      images=tf.zeros([2, 8, 8, 1], tf.uint8), seed=tf.constant([0, 1]))
  np.testing.assert_array_equal(names['bits'], expected['bits_per_dim'])
