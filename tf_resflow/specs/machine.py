"""Cores and memory of the machine that this process may use."""

from collections.abc import Iterator
import contextlib
import math
import os
import pathlib
import re

from tf_resflow import errors

_ROOT = pathlib.Path('/')


def _settings_of_groups(name: str) -> Iterator[str]:
  """Yields a setting of the control group of this process and those above it.
  """
  with contextlib.suppress(OSError):
    text = (_ROOT / 'proc/self/cgroup').read_text('utf-8')
    own = re.search(r'^0::/*(.*)', text, re.MULTILINE)
    group = _ROOT / 'sys/fs/cgroup' / (own.group(1) if own else '')
    for folder in (group, *group.parents):
      if (folder / name).is_file():
        yield (folder / name).read_text('utf-8')


def num_cores() -> int:
  """Returns the number of cores: the share of a control group, rounded up."""
  cores = len(os.sched_getaffinity(0)) if hasattr(
      os, 'sched_getaffinity') else os.cpu_count() or 1  # Not on macOS.
  for text in _settings_of_groups('cpu.max'):
    quota, period = text.split()  # Microseconds, or `max`, which is no limit.
    if quota != 'max':
      cores = min(cores, math.ceil(int(quota) / int(period)))
  return cores


def memory_bytes() -> int | None:
  """Returns the memory of the machine or control group; None if unknown."""
  limits = []
  with contextlib.suppress(OSError, ValueError):
    limits.append(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))
  for name in ('memory.max', 'memory/memory.limit_in_bytes'):
    limits += [int(text) for text in _settings_of_groups(name)
               if text.strip() != 'max']
  return min(limits, default=None)


def check_memory(num_bytes: float, name: str, value: object) -> None:
  """Raises `InvalidValueError` if a value needs more bytes than there are."""
  limit = memory_bytes()
  errors.check(
      limit is None or num_bytes <= limit, name, value,
      problem=f'needs {num_bytes / 2**30:.3g} GiB of memory or more',
      advice=f'This machine has {(limit or 0) / 2**30:.3g} GiB; take a smaller '
      'number.')
