"""What a checkpoint of the authors' code holds."""

import dataclasses
import math
import os
import reprlib

from tf_resflow import errors
from tf_resflow.conversion import torch_file

WEIGHTS = ('ema', 'raw')


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
  """The parts of a checkpoint that matter here.

  Attributes:
    path: of the file.
    arguments: dict of the training arguments.
    state: dict from the authors' names to `Tensor`s, parameters and buffers.
    averages: the same for the averaged parameters; empty if there are none.
    test_bits_per_dim: what the authors' code recorded when it saved the file;
      None if that is no finite float of Python.
  """

  path: str
  arguments: dict
  state: dict[str, torch_file.Tensor]
  averages: dict[str, torch_file.Tensor]
  test_bits_per_dim: float | None

  def weights(self, which: str = 'ema') -> dict[str, torch_file.Tensor]:
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

  def check_dict(value, expected, item_type=object, names=frozenset()):
    """Returns a dict of items of a type, `names` among its keys."""
    errors.check(
        isinstance(value, dict) and names <= value.keys() and all(
            isinstance(item, item_type) for item in value.values()),
        'checkpoint', path, expected, f'It holds {reprlib.repr(value)[:200]}.')
    return value

  def tensors(value, name):
    """Returns a dict of tensors; names lose the prefix of DataParallel."""
    value = check_dict(
        value, f'a dict of names and tensors as {name}', torch_file.Tensor)
    # A tensor may repeat its numbers; those of bfloat16 grow to float32.
    num_bytes = sum(
        tensor.dtype.itemsize * math.prod(max(size, 1) for size in tensor.shape)
        for tensor in value.values())
    errors.check(
        num_bytes <= 2 * os.path.getsize(path), 'checkpoint', path,
        f'tensors in {name} that are not larger than the file',
        f'They have {num_bytes:.3g} bytes.')
    return {key.removeprefix('module.'): v for key, v in value.items()}

  content = check_dict(
      torch_file.read(path), 'a checkpoint of train_img.py',
      names={'state_dict', 'args'})
  averages = check_dict(
      content.get('ema') or {}, 'an object with attributes as ema')
  bits = content.get('test_bpd')
  return Checkpoint(
      path=path,
      arguments=check_dict(
          content['args'], 'an object with attributes as args'),
      state=tensors(content['state_dict'], 'state_dict'),
      averages=tensors(
          averages.get('shadow_params', {}), 'ema.shadow_params'),
      test_bits_per_dim=bits if isinstance(bits, float) and (
          math.isfinite(bits)) else None)
