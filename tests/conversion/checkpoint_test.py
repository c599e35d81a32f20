"""What counts as a checkpoint of the authors' code."""

import numpy as np
import pytest

from tests.conversion import checkpoints
from tests.conversion import torch_writer
from tf_resflow import conversion


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
    (without('args'), "checkpoint of train_img.py. It holds a dict .*'ema'"),
    (without('state_dict'), 'expected a checkpoint of train_img.py. It holds'),
    (replace('args', [1, 2]), r'object with attributes as args. .* \[1, 2\]'),
    (replace('args', {1: 2}), 'an object with attributes as args. .* keys 1'),
    (replace('state_dict', 5), 'a dict of names and tensors as state_dict.* 5'),
    (replace('state_dict', {'a': 5}), "a dict of names and .* the keys 'a'."),
    (replace('state_dict', {'x' * 10**6: 5}), r"the keys 'xxx[x.]*'.$"),
    (replace('args', ['x' * 10**6] * 9), 'with attributes as args'),
    (replace('ema', 'none'), "an object with attributes as ema. .* 'none'"),
])
def test_what_is_no_checkpoint(tmp_path, change, message):
  content = checkpoints.content(checkpoints.make('grey'))
  change(content)
  path = tmp_path / 'model.pth'
  torch_writer.save_legacy(path, content)
  with pytest.raises(ValueError, match=message) as error:
    conversion.load_checkpoint(path)
  assert str(path) in str(error.value) and '\n' not in str(error.value)
  assert len(str(error.value)) < 500


@pytest.mark.parametrize('value', [
    np.ones(3, np.float32), [np.ones(1, np.float32)]])
def test_a_file_of_something_else(tmp_path, value):
  path = tmp_path / 'tensor.pth'
  torch_writer.save_zip(path, value)
  with pytest.raises(ValueError, match='expected a checkpoint of train_img.py'):
    conversion.load_checkpoint(path)


@pytest.mark.parametrize('shadow, message', [
    ({}, 'weights=ema: expected raw. .* holds no averaged parameters'),
    ({'a.weight': np.ones(1)}, 'a.weight is in one of them alone'),
])
def test_averages_that_do_not_fit(tmp_path, shadow, message):
  content = checkpoints.content(checkpoints.make('grey'))
  content['ema'] = torch_writer.Instance(
      'resflows.utils', 'ExponentialMovingAverage', {'shadow_params': shadow})
  torch_writer.save_zip(tmp_path / 'model.pth', content)
  checkpoint = conversion.load_checkpoint(tmp_path / 'model.pth')
  checkpoint.weights('raw')
  with pytest.raises(ValueError, match=message):
    checkpoint.weights('ema')
  with pytest.raises(ValueError, match='weights=both: expected ema or raw'):
    checkpoint.weights('both')


def test_averages_of_a_part_do_not_pass_for_all(tmp_path):
  content = checkpoints.content(checkpoints.make('grey'))
  del content['ema'].state['shadow_params']['transforms.0.chain.1.bias']
  torch_writer.save_zip(tmp_path / 'model.pth', content)
  checkpoint = conversion.load_checkpoint(tmp_path / 'model.pth')
  with pytest.raises(ValueError, match='transforms.0.chain.1.bias is in one'):
    checkpoint.weights()


@pytest.mark.parametrize('saved, found', [
    (None, None), (np.float32(2.5), 2.5), (np.array([1.5]), 1.5),
    (np.ones(2), None), ('low', None)])
def test_recorded_bits_per_dim(tmp_path, saved, found):
  content = checkpoints.content(checkpoints.make('grey'))
  content['test_bpd'] = saved
  torch_writer.save_zip(tmp_path / 'model.pth', content)
  checkpoint = conversion.load_checkpoint(tmp_path / 'model.pth')
  assert checkpoint.test_bits_per_dim == found
