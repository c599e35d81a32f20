"""What a checkpoint of the authors' code holds."""

import dataclasses
import itertools
import math
import numbers
import os
import reprlib

from tf_resflow import errors
from tf_resflow.conversion import pickles
from tf_resflow.conversion import torch_file
from tf_resflow.conversion.torch_tensor import Tensor

WEIGHTS = ('ema', 'raw')


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
  """The parts of a checkpoint that matter here.

  Attributes:
    path: of the file.
    arguments: dict of the training arguments.
    state: dict from the authors' names to `Tensor`s, parameters and buffers.
    averages: the same for the averaged parameters; empty if there are none.
    test_bits_per_dim: what the authors' code recorded when it saved the file,
      or None.
  """

  path: str
  arguments: dict
  state: dict[str, Tensor]
  averages: dict[str, Tensor]
  test_bits_per_dim: float | None

  def weights(self, which: str = 'ema') -> dict[str, Tensor]:
    """Returns one set of weights, by the authors' names.

    Args:
      which: 'ema', the averaged parameters that the authors evaluate, or
        'raw', the trained ones.

    Raises:
      errors.InvalidValueError: if the checkpoint has no averages, or not those
        of its parameters.
    """
    errors.check(which in WEIGHTS, 'weights', which, ' or '.join(WEIGHTS))
    if which == 'raw':
      return dict(self.state)
    errors.check(
        self.averages, 'weights', which, 'raw',
        f'{self.path} holds no averaged parameters: it was saved before the '
        'first update.')
    unknown = set(self.averages) - set(self.state)
    missing = {
        name for name in set(self.state) - set(self.averages)
        if name.rpartition('.')[2] in ('weight', 'bias', 'beta')}
    errors.check(
        not unknown and not missing, 'checkpoint', self.path,
        'averages of the parameters in state_dict',
        f'{min(unknown | missing, default="")[:100]} is in one of them '
        'alone; the file is damaged or not of train_img.py.')
    return self.state | self.averages


def load_checkpoint(path: str | os.PathLike) -> Checkpoint:
  """Reads a checkpoint that the authors' `train_img.py` saved.

  Nothing in the file is executed, and PyTorch is not needed; see
  `torch_file.read`.

  Args:
    path: of the `.pth` file.

  Raises:
    errors.InvalidValueError: if there is no such file, or it is damaged or
      something else.
  """
  path = os.fspath(path)
  content = torch_file.read(path)
  _check(
      isinstance(content, dict) and {'state_dict', 'args'} <= content.keys(),
      path, 'a checkpoint of train_img.py', content)
  averages = {} if content.get('ema') is None else _attributes(
      path, 'ema', content['ema'])
  return Checkpoint(
      path=path,
      arguments=_attributes(path, 'args', content['args']),
      state=_tensors(path, 'state_dict', content['state_dict']),
      averages=_tensors(
          path, 'ema.shadow_params', averages.get('shadow_params', {})),
      test_bits_per_dim=_number(content.get('test_bpd')))


def _check(condition, path, expected, found):
  keys = map(reprlib.repr, itertools.islice(found, 6)) if isinstance(
      found, dict) else ()
  text = ', '.join(keys)
  errors.check(
      condition, 'checkpoint', path, expected, 'It holds '
      f'{"a dict with the keys " + text if text else reprlib.repr(found)}.')


def _attributes(path, name, value):
  """Returns the attributes of an object that was pickled."""
  if isinstance(value, pickles.Object):
    value = value.state
  _check(
      isinstance(value, dict) and all(isinstance(k, str) for k in value),
      path, f'an object with attributes as {name}', value)
  return value


def _tensors(path, name, value):
  """Returns a dict of tensors; names lose the prefix of DataParallel."""
  _check(
      isinstance(value, dict) and all(
          isinstance(key, str) and isinstance(tensor, Tensor)
          for key, tensor in value.items()),
      path, f'a dict of names and tensors as {name}', value)
  return {key.removeprefix('module.'): v for key, v in value.items()}


def _number(value):
  """Returns a number as a float, whatever holds it, and else None."""
  if isinstance(value, Tensor):
    value = value.numpy().item() if math.prod(value.shape) == 1 else None
  is_number = isinstance(value, numbers.Real) and math.isfinite(value)
  return float(value) if is_number else None
