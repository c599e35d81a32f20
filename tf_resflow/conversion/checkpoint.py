"""What a checkpoint of the authors' code holds."""

import dataclasses
import math
import numbers
import os

from tf_resflow.conversion import torch_file
from tf_resflow.conversion import unpickler

WEIGHTS = ('ema', 'raw')


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
  """The parts of a checkpoint that matter here.

  Attributes:
    path: of the file.
    arguments: dict of the training arguments.
    state: dict from the authors' names to `torch_file.Tensor`s, parameters
      and buffers.
    averages: the same for the averaged parameters; empty if there are none.
    test_bits_per_dim: what the authors' code recorded when it saved the file,
      or None.
  """

  path: str
  arguments: dict
  state: dict
  averages: dict
  test_bits_per_dim: float | None

  def weights(self, which='ema'):
    """Returns one set of weights, a dict from names to tensors.

    Args:
      which: 'ema', the averaged parameters that the authors evaluate, or
        'raw', the trained ones.

    Raises:
      ValueError: if the checkpoint has no averages.
    """
    if which not in WEIGHTS:
      raise ValueError(
          f'weights is {which!r}; expected one of {", ".join(WEIGHTS)}.')
    if which == 'raw':
      return dict(self.state)
    if not self.averages:
      raise ValueError(
          f'{self.path} holds no averaged parameters (it was saved before the '
          "first update); convert its trained ones with weights 'raw'.")
    unknown = sorted(set(self.averages) - set(self.state))
    missing = sorted(
        name for name in set(self.state) - set(self.averages)
        if name.rpartition('.')[2] in ('weight', 'bias', 'beta'))
    if unknown or missing:
      raise ValueError(
          f'the averaged parameters in {self.path} are not those of its '
          f'state_dict: {", ".join((unknown or missing)[:3])} is in one of '
          'them alone; the file is damaged or not of train_img.py.')
    return self.state | self.averages


def load_checkpoint(path):
  """Reads a checkpoint that the authors' `train_img.py` saved.

  Nothing in the file is executed, and PyTorch is not needed; see
  `torch_file.read`.

  Args:
    path: of the `.pth` file.

  Returns:
    A `Checkpoint`.

  Raises:
    OSError: if the file cannot be opened.
    ValueError: if it is damaged, or something else.
  """
  path = os.fspath(path)
  content = torch_file.read(path)
  if not isinstance(content, dict) or not {
      'state_dict', 'args'} <= content.keys():
    found = (f'a dict with the keys {", ".join(map(str, list(content)[:6]))}'
             if isinstance(content, dict) else type(content).__name__)
    raise ValueError(
        f'{path} is not a checkpoint of train_img.py: expected a dict with '
        f'state_dict, args and ema, found {found}.')
  state = _tensors(path, 'state_dict', content['state_dict'])
  return Checkpoint(
      path=path,
      arguments=_attributes(path, 'args', content['args']),
      state=state,
      averages=_averages(path, content.get('ema')),
      test_bits_per_dim=_number(content.get('test_bpd')))


def _averages(path, ema):
  if ema is None:
    return {}
  shadow = _attributes(path, 'ema', ema).get('shadow_params', {})
  return _tensors(path, 'ema.shadow_params', shadow)


def _attributes(path, name, value):
  """Returns the attributes of an object that was pickled."""
  if isinstance(value, unpickler.StandIn):
    value = value.state
  if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
    raise ValueError(
        f'{name} in {path} is {type(value).__name__}; expected an object with '
        'attributes, as train_img.py saves it.')
  return dict(value)


def _tensors(path, name, value):
  """Returns a dict of tensors; names lose the prefix of DataParallel."""
  if not isinstance(value, dict):
    raise ValueError(
        f'{name} in {path} is {type(value).__name__}; expected a dict of '
        'tensors.')
  tensors = {}
  for key, tensor in value.items():
    if not isinstance(key, str) or not isinstance(tensor, torch_file.Tensor):
      raise ValueError(
          f'{name} in {path} holds {key!r}: {type(tensor).__name__}; expected '
          'names and tensors.')
    tensors[key.removeprefix('module.')] = tensor
  return tensors


def _number(value):
  """Returns a number as a float, whatever holds it, and else None."""
  if isinstance(value, torch_file.Tensor):
    value = value.numpy()
    value = value.item() if value.size == 1 else None
  is_number = isinstance(value, numbers.Real) and math.isfinite(value)
  return float(value) if is_number else None
