"""A file that asks for more than it holds is refused, before any model."""

import numpy as np
import pytest

from tests.conversion import checkpoints
from tests.conversion import torch_writer
from tf_resflow import conversion
from tf_resflow import models
from tf_resflow.conversion import kernels


def check_kernels(path, checkpoint):
  config = conversion.convert_arguments(checkpoint.arguments).config
  kernels.check_kernels(config.model, path, checkpoint.weights())


@pytest.mark.parametrize('name', checkpoints.VARIANTS)
def test_whole_checkpoints(name, tmp_path):
  """Of the oracle, which knows the authors' layers."""
  path = tmp_path / 'model.pth'
  made = checkpoints.write(path, name)
  checkpoint = conversion.load_checkpoint(path)
  # Their data sets have larger images than these.
  checkpoint.arguments['imagesize'] = checkpoints.IMAGE_SIZE
  check_kernels(path, checkpoint)
  # One kernel less, and one more.
  names = [n for n in made.raw if '.nnet.' in n and n.endswith('.weight')]
  for some in (checkpoint.state, checkpoint.averages):
    removed = some.pop(names[-1])
  with pytest.raises(ValueError, match='of kernel .* of scale .*, not none'):
    check_kernels(path, checkpoint)
  for some in (checkpoint.state, checkpoint.averages):
    some[names[-1]] = removed
    some['transforms.0.chain.99.nnet.0.weight'] = removed
  with pytest.raises(ValueError, match='expected the shape none of kernel'):
    check_kernels(path, checkpoint)


@pytest.fixture
def no_models(monkeypatch):
  """None may be built."""
  def fail(*args, **kwargs):
    raise AssertionError('built')
  monkeypatch.setattr(models.ResidualFlow, '__init__', fail)


@pytest.mark.usefixtures('no_models')
@pytest.mark.parametrize('changes', [
    {'nblocks': '999999999-1'}, {'idim': 10**12}, {'fc_idim': 10**12},
    {'cdim': 10**12}, {'imagesize': 256}, {'fc': True},
    {'kernels': '99999999-1-3'}, {'quadratic': True}, {'block': 'coupling'},
    {'quadratic': True, 'fc': True, 'imagesize': 256},
    {'kernels': '-'.join(['3'] * 10**5), 'vnorms': '2' * (10**5 + 1)}])
def test_huge_models(changes, tmp_path):
  made = checkpoints.make('hybrid')
  content = checkpoints.content(made)
  content['args'].state.update(changes)
  torch_writer.save_zip(tmp_path / 'model.pth', content)
  with pytest.raises(ValueError, match='do not belong together') as error:
    conversion.convert(tmp_path / 'model.pth', tmp_path / 'w')
  assert len(str(error.value)) < 500


@pytest.mark.usefixtures('no_models')
def test_files_of_few_bytes(tmp_path):
  path = tmp_path / 'model.pth'
  content = {
      'state_dict': {}, 'args': torch_writer.Instance(
          'argparse', 'Namespace', {'nblocks': '1000000'})}
  torch_writer.save_zip(path, content)
  assert path.stat().st_size < 1000
  with pytest.raises(ValueError, match='do not belong together'):
    conversion.load_model(path, 'raw')
  # Wide, of one number that is repeated.
  content['state_dict'] = {
      f'transforms.0.chain.2.nnet.{i}.weight': torch_writer.View(
          np.ones(1, 'f4'), 0, shape, (0,) * 4)
      for i, shape in [(0, (900, 3, 3, 3)), (2, (500, 500, 1, 1))]}
  torch_writer.save_zip(path, content)
  with pytest.raises(ValueError, match='tensors that are not larger than the'):
    conversion.load_model(path, 'raw')
