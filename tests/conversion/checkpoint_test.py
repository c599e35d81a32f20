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
