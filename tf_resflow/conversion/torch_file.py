"""Reads checkpoint files of PyTorch, without PyTorch or executing their code.

A process of its own reads the file, under limits of time and memory
(`torch_reader`). The numbers of tensors stay in the file until `Tensor.numpy`
asks for them.
"""

from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np

from tf_resflow import errors

# A checkpoint of 100 blocks takes 0.2 s and 30 MB, and one second per gigabyte
# for checksums. Wall-clock time is for platforms without the other limits.
_CPU_SECONDS = 10
_CLOCK_SECONDS = 300
_MAX_BYTES = 2**30


def _refused(path, reason):
  return errors.InvalidValueError(
      'checkpoint', path, 'a complete file of torch.save', reason)


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
  """A tensor of PyTorch, whose numbers are still in the file.

  Attributes:
    path: of the file.
    shape: of the tensor.
    strides: in bytes.
    start: of its first number in the file, in bytes.
    num_stored: how many numbers there are from its first to its last.
    stored: NumPy's name of their type in the file, such as '<f4'; '<V2' is
      bfloat16.
  """

  path: str
  shape: Sequence[int]
  strides: Sequence[int]
  start: int
  num_stored: int
  stored: str

  @property
  def dtype(self) -> np.dtype:
    """The dtype of `numpy()`: float32 for bfloat16, uint8 for booleans."""
    return np.dtype(self.stored.replace('V2', 'f4')).newbyteorder('=')

  def numpy(self) -> np.ndarray:
    """Reads the numbers from the file into a new, C-contiguous array.

    Raises:
      FileNotFoundError: the file has been removed since it was opened.
      ValueError: the file has been cut off.
    """
    if 0 in self.shape:
      return np.empty(self.shape, self.dtype)
    try:
      data = np.memmap(
          self.path, self.stored, 'r', self.start, (self.num_stored,))
    except ValueError as error:
      raise _refused(
          self.path, f'It ends early: download it again ({error}).') from error
    view = np.ndarray(self.shape, self.stored, data, strides=self.strides)
    if view.dtype.kind == 'V':  # bfloat16, the upper half of a float32.
      halves = view.view(self.stored.replace('V', 'u'))
      view = (halves.astype(np.uint32) << 16).view(np.float32)
    return np.array(view, self.dtype, order='C')


def read(path: str | os.PathLike) -> object:
  """Reads a file of `torch.save`.

  Nothing in the file is executed; see `torch_reader`.

  Returns:
    The saved object, of None, booleans, numbers, strings, lists (also for
    tuples), dicts (also for objects, of their attributes) without keys that are
    not strings, and `Tensor`s (also for parameters). Anything else, and any
    container nested in three others, is a string '<name of its type>'.

  Raises:
    errors.InvalidValueError: there is no such file, it is not one of
      `torch.save`, is cut off or damaged, or holds other tensors.

  Example:
    >>> checkpoint = read('model.pth')
    >>> checkpoint['state_dict']['weight'].numpy()
    array([[1., 2.]], dtype=float32)
  """
  path = os.path.abspath(path)
  errors.check(os.path.isfile(path), 'checkpoint', path, 'a file')
  # By path and isolated from the environment: nothing of this package, of
  # site-packages or of the current folder is imported.
  command = [
      sys.executable, '-I', '-S', str(pathlib.Path(__file__).with_name(
          'torch_reader.py')), str(_CPU_SECONDS), str(_MAX_BYTES)]
  with open(path, 'rb') as file:
    try:
      process = subprocess.run(
          command, stdin=file, stdout=subprocess.PIPE,
          stderr=subprocess.DEVNULL, timeout=_CLOCK_SECONDS, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
      is_late = isinstance(error, subprocess.TimeoutExpired) or (
          error.returncode == -getattr(signal, 'SIGXCPU', 0))
      raise _refused(path, 'Reading it takes too much time.' if is_late
                     else 'Reading it crashes.') from None

  result = json.loads(process.stdout, object_hook=lambda node: (
      dict(node['dict']) if 'dict' in node
      else Tensor(path, *node['tensor'])))
  if isinstance(result, str):
    raise _refused(path, result)
  return result[0]
