"""Holds the kernels in a checkpoint against its arguments, before a model."""

from collections.abc import Iterator, Mapping
import itertools
import math
import os
import re

from tf_resflow import errors
from tf_resflow import models
from tf_resflow.configuration import registries
from tf_resflow.conversion.torch_tensor import Tensor

_KERNEL = re.compile(
    r'transforms\.(\d{1,9})\.chain\.(\d{1,9})\.'
    r'(?:(?:fc_module|nnet\.(?:nnet\.)?(\d{1,9}))\.)?weight')


def check_kernels(
    config: models.ResidualFlowConfig,
    path: str | os.PathLike,
    tensors: Mapping[str, Tensor],
) -> None:
  """Refuses a checkpoint without the kernels that its arguments ask for.

  The arguments in a file of a few bytes may ask for a model that no memory
  holds. The kernels are nearly all of a model, and the file has to have them.

  Args:
    config: of the model that the checkpoint's arguments ask for.
    path: of the checkpoint.
    tensors: by the authors' names, as `Checkpoint.weights` returns them.

  Raises:
    errors.InvalidValueError: if the model has other kernels than the file, or
      the file is too small to hold its tensors.
  """

  def check(condition, expected):
    errors.check(
        condition, 'checkpoint', path, expected,
        'Its tensors and its training arguments do not belong together.')

  # A tensor may repeat its numbers; those of bfloat16 grow to float32.
  check(
      sum(math.prod(tensor.shape) * tensor.dtype.itemsize
          for tensor in tensors.values()) <= 2 * os.path.getsize(path),
      'tensors that are not larger than the file')
  matches = ((_KERNEL.fullmatch(name), tensor.shape)
             for name, tensor in tensors.items())
  found = {  # Vectors are of ActNorm.
      tuple(map(int, match.groups(0))): shape for match, shape in matches
      if match and len(shape) > 1}
  for scale, expected in enumerate(_kernel_shapes(config)):
    shapes = [found[key] for key in sorted(found) if key[0] == scale]
    # Lazily, up to the first difference: many may be expected.
    for i, (want, have) in enumerate(itertools.zip_longest(expected, shapes)):
      check(want == have, f'the shape {want or "none"} of kernel {i} of scale '
            f'{scale}, not {have or "none"}')
  if config.num_classes:
    head = tensors.get('classification_heads.0.0.weight')
    check(head and head.shape[:1] == (config.head_channels,),
          f'a classifier of {config.head_channels} channels')


# Widths of what the networks of a block take and make, by `config.block`: of
# events of `size` channels or features, which a coupling may see whole.
_ENDS = {
    'residual': lambda size, sees_all: (size, size),
    'coupling': lambda size, sees_all: (
        (size, 2 * size) if sees_all else (size // 2, size)),
}

# The matrices before a block, by `config.invertible_linear`.
_MATRICES = {'none': lambda size: [], 'free': lambda size: [(size, size)]}


def _kernel_shapes(config) -> Iterator[Iterator[tuple[int, ...]]]:
  """Yields for every scale the shapes of its kernels, in their order."""
  conv_kernels = [(size, size) for size in config.kernel_sizes]
  dense_kernels = [()] * (config.num_dense_hidden_layers + 1)
  make_ends = _ENDS[config.block]
  is_preprocessed = bool(registries.PREPROCESSORS.get(config.preprocessing)(
      config, 'float32').elementary())
  channels = config.image_shape[-1] * (4 if config.squeeze_first else 1)
  size = config.event_size
  for scale, num_blocks in enumerate(config.num_blocks, 1):
    is_last = scale == len(config.num_blocks)
    width, kernels, sees_all = (
        (size, dense_kernels, False) if config.fully_connected else
        (channels, conv_kernels, is_preprocessed and scale == 1))
    blocks = _MATRICES[config.invertible_linear](width) + _block_shapes(
        *make_ends(width, sees_all), config.hidden_channels, kernels)
    dense_blocks = _block_shapes(
        *make_ends(size, False), config.dense_hidden_units, dense_kernels)
    yield itertools.chain(
        itertools.chain.from_iterable(itertools.repeat(blocks, num_blocks)),
        dense_blocks * (config.num_dense_blocks if is_last else 0))
    channels *= 2 if config.factor_out else 4
    size //= 2 if config.factor_out else 1


def _block_shapes(num_inputs, num_outputs, num_hidden, kernels):
  """Returns the shapes of the kernels of a block."""
  widths = [num_inputs, *[num_hidden] * (len(kernels) - 1), num_outputs]
  return [(outputs, inputs, *kernel) for (inputs, outputs), kernel
          in zip(itertools.pairwise(widths), kernels, strict=True)]
