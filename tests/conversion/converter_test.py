"""From a file to a workdir that the other tools accept."""

import hashlib
import json
import os

import numpy as np
import pytest

from tests import testing
from tests.conversion import checkpoints
from tests.conversion import torch_writer
from tf_resflow import conversion
from tf_resflow import models
from tf_resflow import training
from tf_resflow.conversion import converter


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
  """Path of a checkpoint, the workdir made of it, and the report."""
  folder = tmp_path_factory.mktemp('conversion')
  path = folder / 'model.pth'
  checkpoints.write(path, 'hybrid_factor_out')
  # An empty folder is as good as a new one.
  (folder / 'w').mkdir()
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
  made = checkpoints.make('hybrid_factor_out')
  assert provenance['arguments'] == made.arguments
  assert provenance['latent_order'] == 'channels_first'
  assert converter.is_converted(workdir)
  assert not converter.is_converted(workdir.parent)
  assert report['workdir'] == str(workdir)
  assert report['recorded_test_bits_per_dim'] == 3.25
  assert report['image_shape'] == [8, 8, 1]
  assert json.loads(json.dumps(report)) == report


def test_workdir_holds_the_model(converted):
  path, workdir, report = converted
  expected = conversion.load_model(path)
  for averaged in (True, False):
    model, step = training.workdir.restore_model(
        str(workdir), averaged=averaged)
    assert step == 0
    for a, b in zip(
        model.trainable_variables, expected.trainable_variables, strict=True):
      np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
  for variable in model.non_trainable_variables:
    if variable.path.endswith('initialized'):
      assert variable.numpy() == 1
  assert model.config == training.load_config(workdir).model
  assert report['num_parameters'] == sum(
      np.prod(v.shape) for v in expected.trainable_variables)


@pytest.fixture
def write(tmp_path):
  """Returns a function that changes a checkpoint's content and writes it."""
  def write_fn(change=lambda content: None, name='grey'):
    content = checkpoints.content(checkpoints.make(name))
    change(content)
    torch_writer.save_zip(tmp_path / 'model.pth', content)
    return tmp_path / 'model.pth'
  return write_fn


def test_a_failure_leaves_nothing(write, tmp_path):
  for change in ({'batchnorm': True}, {'idim': 4}):
    path = write(lambda content, c=change: content['args'].state.update(c))
    with pytest.raises(ValueError, match='checkpoint'):
      conversion.convert(path, tmp_path / 'a' / 'w')
    assert os.listdir(tmp_path) == ['model.pth']


def test_models_larger_than_the_file(write, tmp_path, monkeypatch):

  def convert(changes):
    path = write(lambda content: content['args'].state.update(changes),
                 'hybrid')
    conversion.convert(path, tmp_path / 'w')

  monkeypatch.setattr(models.ResidualFlow, '__init__', pytest.fail)
  message = '...do not match the training arguments'
  testing.check_refusals(convert, [(changes, message) for changes in (
      {'nblocks': '9999-1'}, {'idim': 10**12}, {'fc_idim': 10**12},
      {'cdim': 10**12}, {'imagesize': 256}, {'kernels': '99999999-1-3'},
      {'quadratic': True, 'fc': True, 'imagesize': 256},
      {'kernels': '-'.join(['3'] * 10**4), 'vnorms': '2' * (10**4 + 1)})])


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
    conversion.load_checkpoint(write(change))

  def repeated(*shape):
    view = torch_writer.View(np.ones(1, 'f4'), 0, shape, (0,) * len(shape))
    return {'state_dict': {'a': view}}

  testing.check_refusals(load, [
      *((changes, '...a checkpoint of train_img.py. Its args is no such object')
        for changes in ({'args': None}, {'args': [1, 2]})),
      ({'ema': 'none'}, '...Its ema is no such object'),
      *(({'state_dict': value}, '...Its state_dict is not a dict of tensors')
        for value in (None, 5, {'x' * 10**6: 5})),
      # Numbers that are repeated.
      *((repeated(*shape), '...Its state_dict has ... bytes, more than the f')
        for shape in ((900, 3, 3, 3), (2**30, 2**30))),
      *((repeated(*shape), '...cannot be read (array is too big') for shape in (
          (2**62, 2**62), (0, 2**40, 2**40)))])


def test_averages_that_do_not_fit(write):

  def weights(changes):
    def change(content):
      ema = content['ema'].state
      shadow = {**ema['shadow_params'], **changes} if changes else {}
      ema['shadow_params'] = {k: v for k, v in shadow.items() if v is not None}
    checkpoint = conversion.load_checkpoint(write(change))
    checkpoint.weights('raw')
    checkpoint.weights('ema')

  testing.check_refusals(weights, [
      ({}, 'weights=ema requires averaged parameters. ...has none: it'),
      ({'a.weight': np.ones(1)}, '...a.weight is in one of them alone'),
      # Averages of a part do not pass for all.
      ({'transforms.0.chain.1.bias': None},
       '...chain.1.bias is in one of them')])
  testing.check_refusals(conversion.load_checkpoint(write()).weights, [
      ('both', 'weights=both: expected ema or raw')])


def test_recorded_bits_per_dim(write):
  for saved, found in (
      (None, None), (2.5, 2.5), (float('nan'), None), (10**400, None),
      ('low', None)):
    checkpoint = conversion.load_checkpoint(write(
        lambda content, value=saved: content.update(test_bpd=value)))
    assert checkpoint.test_bits_per_dim == found
