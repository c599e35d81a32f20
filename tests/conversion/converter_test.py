"""From a file to a workdir that the other tools accept."""

import hashlib
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from tests.configuration import refusals
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
  # An empty folder is as good as a new one.
  (folder / 'w').mkdir()
  return path, folder / 'w', conversion.convert(path, folder / 'w')


@pytest.fixture(scope='module')
def expected(converted):
  """The model of the checkpoint."""
  return conversion.load_model(converted[0])


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


def test_workdir_holds_the_model(converted, expected):
  _, workdir, report = converted
  for averaged in (True, False):
    model, step = training.load_model(str(workdir), averaged=averaged)
    assert step == 0
    assert_same_weights(model, expected)
  assert model.config == training.load_config(workdir).model
  assert report['num_parameters'] == sum(
      np.prod(v.shape) for v in expected.trainable_variables)


def assert_same_weights(model, other):
  for a, b in zip(
      model.trainable_variables, other.trainable_variables, strict=True):
    np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
  for variable in model.non_trainable_variables:
    if variable.path.endswith('initialized'):
      assert variable.numpy() == 1


def test_trained_weights(converted, expected, tmp_path):
  path, _, _ = converted
  report = conversion.convert(path, tmp_path / 'raw', 'raw')
  assert report['weights'] == 'raw'
  model, _ = training.load_model(str(tmp_path / 'raw'))
  # A model takes any number of sets of weights, one after the other.
  state = conversion.load_checkpoint(path)
  conversion.load_weights(expected, state.weights('raw'))
  try:
    assert_same_weights(model, expected)
  finally:
    conversion.load_weights(expected, state.weights('ema'))


def test_training_starts_from_weights_and_averages(
    converted, expected, data_dir):
  _, workdir, _ = converted
  config = training.load_config(workdir).replace(
      dataset='digits', data_dir=data_dir)
  trainer = training.Trainer(config, str(workdir))
  trainer.restore_or_initialize()
  assert trainer.step == 0
  assert_same_weights(trainer.model, expected)
  for average, variable in zip(
      trainer.ema.averages, expected.trainable_variables, strict=True):
    np.testing.assert_array_equal(average.numpy(), variable.numpy())


def test_single_precision_is_close_to_double(converted, expected):
  """As evaluation and sampling use it; and samples invert."""
  wide = conversion.load_model(converted[0], dtype='float64')
  # Samples leave [0, 1] by up to alpha.
  images = tf.clip_by_value(expected.sample(4, seed=0), 0.0, 1.0 - 1e-3)
  z = expected(images)
  np.testing.assert_allclose(
      expected.inverse(tf.identity(z)), images, atol=1e-4)
  np.testing.assert_allclose(z, wide(images), atol=2e-3)


def test_nothing_is_overwritten(converted, tmp_path):
  path, workdir, _ = converted
  before = sorted(p.stat().st_mtime_ns for p in workdir.rglob('*'))
  (tmp_path / 'file').write_text('important')
  refusals.check(lambda folder: conversion.convert(path, folder), [
      (workdir, '...expected a new or empty folder'),
      (tmp_path / 'file', '...expected a folder. It is a file')])
  assert sorted(p.stat().st_mtime_ns for p in workdir.rglob('*')) == before


@pytest.fixture
def write(tmp_path):
  """Returns a function that changes a checkpoint's content and writes it."""
  def write_fn(change=lambda content: None, name='grey',
               save=torch_writer.save_zip):
    content = checkpoints.content(checkpoints.make(name))
    change(content)
    save(tmp_path / 'model.pth', content)
    return tmp_path / 'model.pth'
  return write_fn


def test_a_failure_leaves_nothing(write, tmp_path):
  for change in ({'batchnorm': True}, {'idim': 4}):
    path = write(lambda content, c=change: content['args'].state.update(c))
    with pytest.raises(ValueError, match='checkpoint'):
      conversion.convert(path, tmp_path / 'a' / 'w')
    assert os.listdir(tmp_path) == ['model.pth']


def test_models_larger_than_the_file(write, tmp_path, monkeypatch):

  def fail(*args, **kwargs):
    raise AssertionError('built')

  def convert(changes):
    path = write(lambda content: content['args'].state.update(changes),
                 'hybrid')
    conversion.convert(path, tmp_path / 'w')

  monkeypatch.setattr(models.ResidualFlow, '__init__', fail)
  message = '...do not belong together'
  refusals.check(convert, [(changes, message) for changes in (
      {'nblocks': '999999999-1'}, {'idim': 10**12}, {'fc_idim': 10**12},
      {'cdim': 10**12}, {'imagesize': 256}, {'kernels': '99999999-1-3'},
      {'quadratic': True, 'fc': True, 'imagesize': 256},
      {'kernels': '-'.join(['3'] * 10**4), 'vnorms': '2' * (10**4 + 1)})])


def test_parts(tmp_path):
  path = tmp_path / 'model.pth'
  made = checkpoints.write(path, 'grey', legacy=True)
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


def test_prefix_of_data_parallel(write):
  checkpoint = conversion.load_checkpoint(write(
      lambda content: content.update(state_dict={
          f'module.{k}': v for k, v in content['state_dict'].items()})))
  assert checkpoint.state.keys() == checkpoints.make('grey').raw.keys()


def test_what_is_no_checkpoint(write):

  def load(changes):
    def change(content):
      content.update(changes)
      for key in [key for key, value in changes.items() if value is None]:
        del content[key]
    conversion.load_checkpoint(write(change, save=torch_writer.save_legacy))

  def repeated(*shape):
    view = torch_writer.View(np.ones(1, 'f4'), 0, shape, (0,) * len(shape))
    return {'state_dict': {'a': view}}

  refusals.check(load, [
      ({'args': None}, "...checkpoint of train_img.py. It holds ...'ema': {"),
      ({'state_dict': None}, '...a checkpoint of train_img.py. It holds'),
      ({'args': [1, 2]}, '...object with attributes as args. ...[1, 2]'),
      ({'state_dict': 5},
       '...a dict of names and tensors as state_dict... 5'),
      ({'state_dict': {'x' * 10**6: 5}}, "...It holds {'xxx...': 5}."),
      ({'args': ['x' * 10**6] * 9}, '...with attributes as args'),
      ({'ema': 'none'}, "...an object with attributes as ema. ...'none'"),
      # Numbers that are repeated.
      *((repeated(*shape), '...tensors in state_dict that are not larger than '
         'the file. They have') for shape in (
             (900, 3, 3, 3), (2**62, 2**62), (0, 2**40, 2**40)))])


def test_averages_that_do_not_fit(write):

  def weights(changes):
    def change(content):
      ema = content['ema'].state
      shadow = {**ema['shadow_params'], **changes} if changes else {}
      ema['shadow_params'] = {k: v for k, v in shadow.items() if v is not None}
    checkpoint = conversion.load_checkpoint(write(change))
    checkpoint.weights('raw')
    checkpoint.weights('ema')

  refusals.check(weights, [
      ({}, 'weights=ema: expected raw. ...holds no averaged parameters'),
      ({'a.weight': np.ones(1)}, '...a.weight is in one of them alone'),
      # Averages of a part do not pass for all.
      ({'transforms.0.chain.1.bias': None},
       '...chain.1.bias is in one of them')])
  refusals.check(conversion.load_checkpoint(write()).weights, [
      ('both', 'weights=both: expected ema or raw')])


def test_recorded_bits_per_dim(write):
  for saved, found in (
      (None, None), (2.5, 2.5), (float('nan'), None), (10**400, None),
      ('low', None)):
    checkpoint = conversion.load_checkpoint(write(
        lambda content, value=saved: content.update(test_bpd=value)))
    assert checkpoint.test_bits_per_dim == found
