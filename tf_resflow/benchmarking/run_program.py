"""Compiles a program that bin/benchmark --program wrote, through JAX; times it.

  python run_program.py PREFIX --repeats=20

Stands alone: it needs jax and numpy, neither TensorFlow nor this package, so
that this file and PREFIX.mlir and PREFIX.npz are all that a machine with an
accelerator has to have. PREFIX.mlir is StableHLO text, PREFIX.npz has the
arguments in order, arr_0, arr_1, ... The last line of stdout is a JSON object:

  device, platform, jax   what it ran on
  compile_s               seconds that compilation took
  median_s, min_s         seconds of one run, after two that do not count
  num_repeats             runs that do
  first_output            the first output, bits/dim of a training step
  gradient_norm           the norm of all others
  temp_gb                 10^9 bytes that the program takes beside arguments and
                          outputs, by the compiler; null where it does not say
  peak_gb                 most memory of the device so far; null where unknown

--optimized_hlo=FILE writes what the compiler of this device made of it.
"""

import argparse
from collections.abc import Sequence
import json
import statistics
import sys
import time

import numpy as np

_NUM_WARM_UP = 2


class _CannotRunError(Exception):
  """Why nothing is run, in one line."""


def _parse(arguments):
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('prefix', help='of the files PREFIX.mlir and PREFIX.npz')
  parser.add_argument('--repeats', type=int, default=20, help='timed runs')
  parser.add_argument(
      '--optimized_hlo', help='file for what the compiler made of the program')
  return parser.parse_args(arguments)


def _read(prefix):
  """Returns the text of a program and its arguments."""
  try:
    with open(f'{prefix}.mlir', encoding='utf-8') as file:
      text = file.read()
    with np.load(f'{prefix}.npz') as arrays:
      return text, [arrays[f'arr_{i}'] for i in range(len(arrays.files))]
  except (OSError, ValueError, KeyError) as error:
    raise _CannotRunError(f'{prefix}.mlir and {prefix}.npz: {error}') from error


def _temp_gb(executable):
  try:
    return executable.get_compiled_memory_stats().temp_size_in_bytes / 1e9
  except (AttributeError, RuntimeError):  # Not every device's compiler says.
    return None


def _run(options):
  """Returns what the module's docstring lists."""
  text, arrays = _read(options.prefix)
  if options.repeats < 1:
    raise _CannotRunError(f'--repeats={options.repeats}: expected 1 or more.')
  try:
    import jax
    from jax.extend import backend
  except ImportError as error:
    raise _CannotRunError(
        f'jax cannot be imported ({error}): pip install jax, or '
        "'jax[cuda12]' for NVIDIA GPUs.") from error
  # Or 64-bit integers, such as the number of the step, would become others.
  jax.config.update('jax_enable_x64', True)
  client = backend.get_backend()
  device = client.local_devices()[0]
  start = time.perf_counter()
  executable = client.compile_and_load(text, [device])
  compile_s = time.perf_counter() - start
  if options.optimized_hlo:
    with open(options.optimized_hlo, 'w', encoding='utf-8') as file:
      file.write(executable.hlo_modules()[0].to_string())
  arguments = [jax.device_put(array, device) for array in arrays]

  def run(_):
    start = time.perf_counter()
    outputs = executable.execute(arguments)
    for output in outputs:
      output.block_until_ready()
    return time.perf_counter() - start, outputs

  seconds, outputs = zip(
      *map(run, range(_NUM_WARM_UP + options.repeats)), strict=True)
  first, *others = [np.asarray(o, np.float64) for o in outputs[-1]]
  stats = device.memory_stats() or {}
  peak = stats.get('peak_bytes_in_use')
  return {
      'device': device.device_kind, 'platform': device.platform,
      'jax': jax.__version__, 'compile_s': compile_s,
      'median_s': statistics.median(seconds[_NUM_WARM_UP:]),
      'min_s': min(seconds[_NUM_WARM_UP:]), 'num_repeats': options.repeats,
      'first_output': float(first),
      'gradient_norm': float(np.sqrt(sum(np.sum(o**2) for o in others))),
      'temp_gb': _temp_gb(executable),
      'peak_gb': None if peak is None else peak / 1e9,
  }


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs a program, and prints one JSON line.

  Args:
    arguments: the command line; by default that of the process.

  Returns:
    The exit status.
  """
  options = _parse(arguments)
  try:
    print(json.dumps(_run(options)))
  except _CannotRunError as error:
    print(f'run_program: error: {error}', file=sys.stderr)
    return 2
  return 0


if __name__ == '__main__':
  sys.exit(main())
