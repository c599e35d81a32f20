"""The examples of docs/serving.md run, with a model of that size.

TensorFlow Serving itself does not run here: its part, JSON or protocol buffers
to tensors, is played by `client.answer` and `tf.make_ndarray`.
"""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests import documents
from tests.serving import client
from tf_resflow import configuration
from tf_resflow import serving
from tf_resflow import training

_TEXT = (documents.ROOT / 'docs' / 'serving.md').read_text()


def _blocks(language):
  return re.findall(
      rf'^```{language}\n(.*?)^```', _TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Has a run and its export, where the page has them."""
  path = tmp_path_factory.mktemp('page')
  config = configuration.make_config(
      dataset='digits', num_blocks=(1,), hidden_channels=4, num_dense_blocks=0)
  model = config.model.build()
  model.initialize(tf.constant(np.random.default_rng(0).random([8, 8, 8, 1])))
  training.workdir.create_workdir(str(path / 'runs/digits'), config, model)
  serving.export(model, str(path / 'served/digits/1'), warmup=False)
  return path


@pytest.fixture(scope='module')
def signatures(folder):
  return tf.saved_model.load(str(folder / 'served/digits/1')).signatures


def test_rest_bodies(signatures):
  replies = {}
  bodies = [*map(json.loads, _blocks('json')), {
      'signature_name': 'decode', 'inputs': {'latents': [[0.0] * 64]}}]
  for body in bodies:
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


def test_python(folder, monkeypatch):
  """One after another, in a folder with a run and its export."""
  monkeypatch.chdir(folder)
  exported, own = [
      b for b in _blocks('python') if not b.startswith('import grpc')]
  names = {}
  exec(compile(exported, 'docs/serving.md', 'exec'), names)
  bits = names.pop('bits')
  assert bits.shape == [4]
  exec(compile(own, 'docs/serving.md', 'exec'), names)
  np.testing.assert_allclose(names['bits'], bits, rtol=1e-5)


@pytest.mark.slow
def test_shell(folder):
  (script,) = [b for b in _blocks('bash') if 'saved_model_cli' in b]
  process = subprocess.run(
      ['bash', '-euc', script], cwd=folder, capture_output=True, text=True,
      check=False, env={
          **os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3', 'PATH': os.pathsep.join([
              os.path.dirname(sys.executable), os.environ['PATH']])})
  assert process.returncode == 0, process.stderr
  for said in (
      "signature_def['decode']:", 'Result for output key bits_per_dim:',
      "inputs['images'] tensor_info:\n        dtype: DT_UINT8\n"
      "        shape: (-1, 8, 8, 1)"):
    assert said in process.stdout, process.stdout
