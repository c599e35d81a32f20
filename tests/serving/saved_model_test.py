"""A process without this package computes the same as the model.

The oracle is the Python model on noise drawn beside it; replies come from new
processes that refuse to import this package and TensorFlow Probability.
"""

import logging
import math
import os
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from tests import flows
from tests import testing
from tf_resflow import datasets
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import serving
from tf_resflow.serving import saved_model


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
  """A flow without blocks, put together by hand, and its folder."""
  model = flows.make_flow_without_blocks((2, 2, 1), num_levels=17)
  folder = str(tmp_path_factory.mktemp('plain') / '1')
  assert serving.export(
      model, folder, numerics.AdaptiveRoulette().per_example(), warmup=False
  ) == ['log_prob', 'sample', 'encode', 'decode']
  return model, folder


@pytest.fixture(scope='module')
def impatient(small_model, images, tmp_path_factory):
  """The folder of a model of one block that takes two steps alone.

  Also the log-density of the model before.
  """
  before = small_model.log_prob(tf.constant(images / 17.0), seed=3)
  folder = str(tmp_path_factory.mktemp('impatient') / '1')
  with pytest.MonkeyPatch.context() as patch:
    # A model that fails at once would not be exported.
    patch.setattr(saved_model, '_try_out', lambda *_: None)
    patch.setattr(small_model.certified_bijections[0], 'solver',
                  numerics.Banach(max_steps=2))
    serving.export(
        small_model, folder, numerics.FixedTruncation(2), warmup=False)
  return folder, before


_SAMPLE = {'num_samples': 3, 'seed': [0, 1], 'temperature': 1.0}


@pytest.fixture(scope='module')
def replies(ask, exported, plain, impatient, images, model):
  """All of one process, by names."""
  likelihood = {'images': images, 'seed': [0, 1]}
  others = np.concatenate([images[:2], images[-1:]])
  latents = model((images[:2] + 0.5) / 17.0)
  small = np.arange(12).reshape([3, 2, 2, 1])
  return ask({name: (folder, name.split()[-1], inputs)
              for folder, requests in (
      (exported, {
          'log_prob': likelihood,
          'other seed, log_prob': likelihood | {'seed': [0, 2]},
          'two, log_prob': likelihood | {'images': images[:2]},
          'others, log_prob': likelihood | {'images': others},
          'sample': _SAMPLE,
          'more, sample': _SAMPLE | {'num_samples': 4},
          'other seed, sample': _SAMPLE | {'seed': [0, 2]},
          'encode': {'images': images}, 'decode': {'latents': latents}}),
      (impatient[0], {
          'few steps, sample': _SAMPLE,
          'few steps, decode': {'latents': np.ones([2, 64])},
          'shape, encode': {'images': np.zeros([1, 7, 7, 1], int)}}),
      (plain[1], {
          'plain log_prob': {'images': small, 'seed': [0, 1]},
          'plain sample': _SAMPLE}))
              for name, inputs in requests.items()})


@pytest.mark.slow
def test_log_prob_is_that_of_the_model(
    model, estimator, images, replies, expected_log_prob):
  for name, seed in (('log_prob', [0, 1]), ('other seed, log_prob', [0, 2])):
    expected = expected_log_prob(model, images, seed, estimator=estimator)
    np.testing.assert_allclose(
        replies[name]['log_prob'], expected, rtol=1e-5, atol=3e-5)
    np.testing.assert_allclose(
        replies[name]['bits_per_dim'],
        (64 * math.log(17) - expected) / 64 / math.log(2), rtol=1e-5)
  # Of the order of the noise, so that a wrong seed would be seen.
  difference = replies['log_prob']['log_prob'] - replies[
      'other seed, log_prob']['log_prob']
  assert np.abs(difference).mean() > 0.1


@pytest.mark.slow
def test_an_image_does_not_depend_on_the_others(replies):
  together = replies['log_prob']['log_prob']
  alone, others = (replies[f'{name}, log_prob']['log_prob']
                   for name in ('two', 'others'))
  np.testing.assert_allclose(alone, together[:2], rtol=1e-6)
  np.testing.assert_allclose(others[:2], alone, rtol=1e-6)
  # It does on its place, from which its noise is drawn.
  assert abs(others[2] - together[-1]) > 1e-3
  np.testing.assert_array_equal(
      replies['more, sample']['images'][:3], replies['sample']['images'])


@pytest.mark.slow
def test_decode_undoes_encode(signatures, model, images, replies):
  z = replies['encode']['latents']
  np.testing.assert_allclose(
      z, model((images + 0.5) / 17.0), rtol=1e-5, atol=1e-5)
  restored = signatures['decode'](latents=tf.constant(z, tf.float32))['images']
  np.testing.assert_array_equal(restored, images)
  assert restored.dtype == tf.uint8
  np.testing.assert_array_equal(replies['decode']['images'], images[:2])


@pytest.mark.slow
def test_samples_repeat_in_another_process(signatures, model, replies):
  found = replies['sample']['images']
  again = signatures['sample'](
      **{name: tf.constant(value) for name, value in _SAMPLE.items()})
  np.testing.assert_array_equal(again['images'], found)
  assert found.shape == (3, 8, 8, 1)
  assert np.mean(found != replies['other seed, sample']['images']) > 0.5
  expected = datasets.quantize(model.sample(3, seed=[0, 1]), 17)
  # A level may move where rounding differs.
  assert np.mean(found != expected) < 0.02


@pytest.mark.slow
def test_failures_show_in_another_process(replies):
  for name, count in (('few steps, sample', 3), ('few steps, decode', 2)):
    assert re.search(
        rf'block_0.*max_steps 2.* did not converge for\] \[{count}\] \[of',
        replies[name]), replies[name]
  assert 'expected shape [?,8,8,1]' in replies['shape, encode']


def test_outputs_refuse_to_be_differentiated():
  function = tf.function(saved_model._prevent_gradients(lambda x: {'y': x * x}))
  x = tf.constant(3.0)
  assert function(x)['y'] == 9.0
  with pytest.raises(LookupError, match='train the model it came from'):
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = function(x)['y']
    tape.gradient(y, x)


def test_loading_is_quiet_and_tapes_do_not_matter(exported, images, caplog):
  with caplog.at_level(logging.WARNING):
    loaded = tf.saved_model.load(exported)
  assert not caplog.records
  with tf.GradientTape() as tape:
    outputs = loaded.signatures['log_prob'](
        images=tf.constant(images), seed=tf.constant([0, 1]))
  assert not tape.watched_variables()
  assert outputs['log_prob'].shape == [5]


def _meta_graph(folder):
  data = pathlib.Path(folder, 'saved_model.pb').read_bytes()
  (meta_graph,) = saved_model_pb2.SavedModel.FromString(data).meta_graphs
  return meta_graph


def test_no_operation_calls_python_or_draws_or_iterates_norms(exported):
  graph = _meta_graph(exported).graph_def
  nodes = [*graph.node, *(n for f in graph.library.function
                          for n in f.node_def)]
  # Power iterations would solve eigenvalue problems.
  bad = re.compile('PyFunc|Eig|Svd|Qr|^Random|ReadFile|WriteFile|Print|Mutex')
  assert not {node.op for node in nodes if bad.search(node.op)}
  assert len(nodes) < 6000


def test_kernels_are_baked_in(model, exported):
  """Nothing of the power iterations is left, and every kernel is bounded."""
  nodes = _meta_graph(exported).object_graph_def.nodes
  variables = [n.variable for n in nodes if n.HasField('variable')]
  assert not [v.name for v in variables if re.search(
      'initialized|fingerprint|/v$|/u$', v.name)]
  assert not any(v.trainable for v in variables)
  states = sum(2 for _ in model.constrained_layers) + sum(
      v.path.endswith('initialized') for v in model.variables)
  # Activations between layers became part of kernels: one, two.
  assert len(variables) == len(model.variables) - states - 3

  # Norms of matrices, without the scales of LipSwish, which kernels take up.
  weights = tf.saved_model.load(exported).weights
  dense = [w.numpy() for w in weights if w.shape in ((64, 5), (5, 5), (5, 64))]
  raw = [layer.kernel.numpy() for layer in model.constrained_layers[-3:]]
  scale = math.log1p(math.exp(0.5))
  scales = [scale, 1.0 / 1.1, 1.0 / (1.1 * scale)]
  assert len(dense) == 3
  for kernel, taken, before in zip(dense, scales, raw, strict=True):
    assert np.linalg.norm(before, 2) > 1.0
    np.testing.assert_allclose(
        np.linalg.norm(kernel / taken, 2), 0.98, rtol=2e-3)


def test_files(exported):
  folder = pathlib.Path(exported)
  assert {p.name for p in folder.iterdir()} == {
      'saved_model.pb', 'variables', 'assets', 'assets.extra'}
  assert {p.name for p in (folder / 'assets.extra').iterdir()} == {
      'model.json', 'tf_serving_warmup_requests'}
  config = models.model_from_json(
      (folder / 'assets.extra' / 'model.json').read_text())
  assert (config.num_levels, config.image_shape) == (17, (8, 8, 1))
  # A server that watches the folder saw nothing unfinished, and no leftovers.
  assert os.listdir(folder.parent) == ['1']


def test_the_model_goes_on_as_before(small_model, impatient, images):
  model, (_, before) = small_model, impatient
  x = tf.constant(images / 17.0)
  np.testing.assert_array_equal(model.log_prob(x, seed=3), before)
  # It follows its variables, and learns.
  with tf.GradientTape() as tape:
    loss = tf.reduce_mean(model.log_prob(x, seed=3))
  gradients = tape.gradient(loss, [
      layer.kernel.value for layer in model.constrained_layers])
  assert all(np.abs(g).max() > 0.0 for g in gradients)
  kernel = model.constrained_layers[0].kernel
  kernel.assign(-1.0 * kernel)
  assert np.abs(model.log_prob(x, seed=3) - before).max() > 1e-3
  kernel.assign(-1.0 * kernel)


def test_a_model_that_fails_is_refused(tmp_path):
  model = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(4,), act_norm=False).build()
  for layer in model.constrained_layers:
    layer.kernel.assign(4.0 * layer.kernel)
  (block,) = model.certified_bijections
  block.solver = numerics.Banach(max_steps=1)
  arguments = {'model': model, 'output': str(tmp_path / 'served' / '1'),
               'estimator': numerics.Exact()}
  testing.check_refusal(
      serving.export, arguments,
      'signature=sample fails. ...did not converge')
  bias = model.constrained_layers[-1].bias
  bias.assign(np.full(bias.shape, np.nan))
  testing.check_refusal(
      serving.export, arguments, 'signature=log_prob returns NaN or infinity')
  assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_flow_without_blocks(plain, replies, expected_log_prob):
  """There is no configuration to write."""
  model, folder = plain
  assert os.listdir(os.path.join(folder, 'assets.extra')) == []
  images = np.arange(12).reshape([3, 2, 2, 1])
  np.testing.assert_allclose(
      replies['plain log_prob']['log_prob'],
      expected_log_prob(model, images, [0, 1]), rtol=1e-5)
  expected = datasets.quantize(model.sample(3, seed=[0, 1]), 17)
  np.testing.assert_array_equal(replies['plain sample']['images'], expected)


@pytest.mark.slow
def test_a_monotone_flow(ask, tmp_path):
  """Its forward pass is a solve, by the operations of TensorFlow alone."""
  model = models.VectorFlowConfig(
      event_size=3, num_blocks=2, hidden_units=(8,), block='monotone').build()
  for layer in model.constrained_layers:
    layer.kernel.assign(4.0 * layer.kernel)
  x = np.random.default_rng(0).normal(size=[5, 3]).astype(np.float32)
  model.initialize(x)
  serving.export(model, str(tmp_path / '1'), 'exact', warmup=False)
  expected = model.log_prob(x, estimator='exact')
  replies = ask({name: (tmp_path / '1', name, inputs) for name, inputs in {
      'log_prob': {'x': x}, 'encode': {'x': x}}.items()})
  np.testing.assert_allclose(
      replies['log_prob']['log_prob'], expected, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(
      replies['encode']['latents'], model(x), rtol=1e-4, atol=1e-5)


def test_what_a_link_points_to_is_left_alone(plain, estimator, tmp_path):
  (tmp_path / 'other').mkdir()
  (tmp_path / 'link').symlink_to('other')
  with pytest.raises(NotADirectoryError):
    serving.export(plain[0], str(tmp_path / 'link'), estimator, warmup=False)
  assert not os.listdir(tmp_path / 'other')
  assert sorted(os.listdir(tmp_path)) == ['link', 'other']


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
