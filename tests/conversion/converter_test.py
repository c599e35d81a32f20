"""From a file to a workdir that the other tools accept."""

import hashlib
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from tests.conversion import checkpoints
from tests.conversion import torch_writer
from tf_resflow import conversion
from tf_resflow import models
from tf_resflow import training


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
  """Path of a checkpoint, the workdir made of it, and the report."""
  folder = tmp_path_factory.mktemp('conversion')
  path = folder / 'model.pth'
  checkpoints.write(path, 'hybrid_factor_out')
  return path, folder / 'w', conversion.convert(path, folder / 'w')


def test_files(converted):
  path, workdir, report = converted
  assert sorted(os.listdir(workdir)) == [
      'checkpoints', 'conversion.json', 'model.json', 'run.flags']
  # The draft in which it was made is gone.
  assert sorted(os.listdir(workdir.parent)) == ['model.pth', 'w']
  provenance = json.loads((workdir / 'conversion.json').read_text())
  assert provenance['checkpoint'] == 'model.pth'
  assert provenance['sha256'] == hashlib.sha256(path.read_bytes()).hexdigest()
  assert provenance['arguments'] == conversion.load_checkpoint(path).arguments
  assert provenance['latent_order'] == 'channels_first'
  assert conversion.is_converted(workdir)
  assert not conversion.is_converted(workdir.parent)
  assert report['workdir'] == str(workdir)
  assert report['recorded_test_bits_per_dim'] == 3.25
  assert report['image_shape'] == [8, 8, 1]
  assert json.loads(json.dumps(report)) == report


@pytest.mark.parametrize('averaged', [True, False])
def test_workdir_holds_the_model(converted, averaged):
  path, workdir, report = converted
  model, step = training.load_model(str(workdir), averaged=averaged)
  assert step == 0
  assert model.config == training.load_config(workdir).model
  expected = conversion.load_model(path)
  assert report['num_parameters'] == sum(
      np.prod(v.shape) for v in expected.trainable_variables)
  assert_same_weights(model, expected)


def assert_same_weights(model, other):
  for a, b in zip(
      model.trainable_variables, other.trainable_variables, strict=True):
    np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
  for variable in model.non_trainable_variables:
    if variable.path.endswith('initialized'):
      assert variable.numpy() == 1


def test_trained_weights(converted, tmp_path):
  path, _, _ = converted
  report = conversion.convert(path, tmp_path / 'raw', 'raw')
  assert report['weights'] == 'raw'
  model, _ = training.load_model(str(tmp_path / 'raw'))
  assert_same_weights(model, conversion.load_model(path, 'raw'))


def test_training_starts_from_weights_and_averages(converted, data_dir):
  path, workdir, _ = converted
  config = training.load_config(workdir).replace(
      dataset='digits', data_dir=data_dir)
  trainer = training.Trainer(config, str(workdir))
  trainer.restore_or_initialize()
  assert trainer.step == 0
  expected = conversion.load_model(path)
  assert_same_weights(trainer.model, expected)
  for average, variable in zip(
      trainer.ema.averages, expected.trainable_variables, strict=True):
    np.testing.assert_array_equal(average.numpy(), variable.numpy())


def test_single_precision_is_close_to_double(converted):
  """As evaluation and sampling use it; and samples invert."""
  path, workdir, _ = converted
  model, _ = training.load_model(str(workdir))
  wide = conversion.load_model(path, dtype='float64')
  images = model.sample(8, seed=0)
  # Samples leave [0, 1] by up to alpha.
  z = model(tf.clip_by_value(images, 0.0, 1.0 - 1e-3))
  restored = model.inverse(tf.identity(z))
  np.testing.assert_allclose(
      restored, tf.clip_by_value(images, 0.0, 1.0 - 1e-3), atol=1e-4)
  np.testing.assert_allclose(
      z, wide(tf.clip_by_value(images, 0.0, 1.0 - 1e-3)), atol=2e-3)


def test_nothing_is_overwritten(converted, tmp_path):
  path, workdir, _ = converted
  before = sorted(p.stat().st_mtime_ns for p in workdir.rglob('*'))
  with pytest.raises(ValueError, match='expected a new or empty folder'):
    conversion.convert(path, workdir)
  assert sorted(p.stat().st_mtime_ns for p in workdir.rglob('*')) == before
  (tmp_path / 'file').write_text('important')
  with pytest.raises(ValueError, match='expected a folder. It is a file'):
    conversion.convert(path, tmp_path / 'file')
  # An empty folder is as good as a new one.
  (tmp_path / 'empty').mkdir()
  conversion.convert(path, tmp_path / 'empty')
  assert conversion.is_converted(tmp_path / 'empty')


@pytest.mark.parametrize('change', [{'batchnorm': True}, {'idim': 4}])
def test_a_failure_leaves_nothing(tmp_path, change):
  path = tmp_path / 'model.pth'
  made = checkpoints.make('grey')
  content = checkpoints.content(made)
  content['args'].state.update(change)
  torch_writer.save_zip(path, content)
  with pytest.raises(ValueError, match='checkpoint'):
    conversion.convert(path, tmp_path / 'a' / 'w')
  assert os.listdir(tmp_path) == ['model.pth']


@pytest.fixture
def no_models(monkeypatch):
  """None may be built."""
  def fail(*args, **kwargs):
    raise AssertionError('built')
  monkeypatch.setattr(models.ResidualFlow, '__init__', fail)


@pytest.mark.usefixtures('no_models')
@pytest.mark.parametrize('changes', [
    {'nblocks': '999999999-1'}, {'idim': 10**12}, {'fc_idim': 10**12},
    {'cdim': 10**12}, {'imagesize': 256}, {'kernels': '99999999-1-3'},
    {'quadratic': True, 'fc': True, 'imagesize': 256},
    {'kernels': '-'.join(['3'] * 10**4), 'vnorms': '2' * (10**4 + 1)}])
def test_models_larger_than_the_file(changes, tmp_path):
  content = checkpoints.content(checkpoints.make('hybrid'))
  content['args'].state.update(changes)
  torch_writer.save_zip(tmp_path / 'model.pth', content)
  with pytest.raises(ValueError, match='do not belong together') as error:
    conversion.convert(tmp_path / 'model.pth', tmp_path / 'w')
  assert len(str(error.value)) < 500


@pytest.mark.parametrize('legacy', [False, True])
def test_parts(tmp_path, legacy):
  path = tmp_path / 'model.pth'
  made = checkpoints.write(path, 'grey', legacy=legacy)
  checkpoint = conversion.load_checkpoint(path)
  assert checkpoint.path == str(path)
  assert checkpoint.arguments == made.arguments
  assert checkpoint.test_bits_per_dim == 3.25
  for which in conversion.WEIGHTS:
    weights = checkpoint.weights(which)
    expected = getattr(made, which)
    assert weights.keys() == expected.keys()
    for name, tensor in weights.items():
      np.testing.assert_array_equal(tensor.numpy(), expected[name])


def test_prefix_of_data_parallel(tmp_path):
  made = checkpoints.make('grey')
  content = checkpoints.content(made)
  content['state_dict'] = {
      f'module.{k}': v for k, v in content['state_dict'].items()}
  torch_writer.save_zip(tmp_path / 'model.pth', content)
  checkpoint = conversion.load_checkpoint(tmp_path / 'model.pth')
  assert checkpoint.state.keys() == made.raw.keys()


def without(key):
  return lambda content: content.pop(key)


def replace(key, value):
  return lambda content: content.update({key: value})


@pytest.mark.parametrize('change, message', [
    (without('args'), "checkpoint of train_img.py. It holds .*'ema': {"),
    (without('state_dict'), 'expected a checkpoint of train_img.py. It holds'),
    (replace('args', [1, 2]), r'object with attributes as args. .* \[1, 2\]'),
    (replace('state_dict', 5), 'a dict of names and tensors as state_dict.* 5'),
    (replace('state_dict', {'x' * 10**6: 5}), r"It holds {'xxx[x.]*': 5}.$"),
    (replace('args', ['x' * 10**6] * 9), 'with attributes as args'),
    (replace('ema', 'none'), "an object with attributes as ema. .* 'none'"),
    # Numbers that are repeated.
    *((replace('state_dict', {'a': torch_writer.View(
        np.ones(1, 'f4'), 0, shape, (0,) * len(shape))}),
       'tensors in state_dict that are not larger than the file. They have')
      for shape in [(900, 3, 3, 3), (2**62, 2**62), (0, 2**40, 2**40)])])
def test_what_is_no_checkpoint(tmp_path, change, message):
  content = checkpoints.content(checkpoints.make('grey'))
  change(content)
  path = tmp_path / 'model.pth'
  torch_writer.save_legacy(path, content)
  with pytest.raises(ValueError, match=message) as error:
    conversion.load_checkpoint(path)
  assert str(path) in str(error.value) and '\n' not in str(error.value)
  assert len(str(error.value)) < 500


@pytest.mark.parametrize('shadow, message', [
    ({}, 'weights=ema: expected raw. .* holds no averaged parameters'),
    ({'a.weight': np.ones(1)}, 'a.weight is in one of them alone'),
    # Averages of a part do not pass for all.
    ({'transforms.0.chain.1.bias': None}, 'chain.1.bias is in one of them')])
def test_averages_that_do_not_fit(tmp_path, shadow, message):
  content = checkpoints.content(checkpoints.make('grey'))
  ema = content['ema'].state
  shadow = {**ema['shadow_params'], **shadow} if shadow else {}
  ema['shadow_params'] = {k: v for k, v in shadow.items() if v is not None}
  torch_writer.save_zip(tmp_path / 'model.pth', content)
  checkpoint = conversion.load_checkpoint(tmp_path / 'model.pth')
  checkpoint.weights('raw')
  with pytest.raises(ValueError, match=message):
    checkpoint.weights('ema')
  with pytest.raises(ValueError, match='weights=both: expected ema or raw'):
    checkpoint.weights('both')


@pytest.mark.parametrize('saved, found', [
    (None, None), (2.5, 2.5), (float('nan'), None), (10**400, None),
    ('low', None)])
def test_recorded_bits_per_dim(tmp_path, saved, found):
  content = checkpoints.content(checkpoints.make('grey'))
  content['test_bpd'] = saved
  torch_writer.save_zip(tmp_path / 'model.pth', content)
  checkpoint = conversion.load_checkpoint(tmp_path / 'model.pth')
  assert checkpoint.test_bits_per_dim == found
