"""Tables of density baselines."""

from collections.abc import Mapping
from typing import Any


def format_baselines(entries: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns baselines as text for people, one a line.

  Args:
    entries: from names to what `BaselineResult.report` returns.
  """
  lines = [f'{"baseline":22}{"bits/dim":>9}{"stderr":>9}{"space":>7}'
           f'{"alpha":>8}{"reg_covar":>11}{"validation":>12}']
  for name, entry in entries.items():
    settings = entry['settings']
    alpha = '-' if settings['alpha'] is None else f'{settings["alpha"]:g}'
    lines.append(
        f'{name:22}{entry["bits_per_dim"]:9.4f}'
        f'{entry["bits_per_dim_stderr"]:9.4f}{settings["space"]:>7}'
        f'{alpha:>8}{settings["reg_covar"]:11.2e}'
        f'{entry["validation_bits_per_dim"]:12.4f}')
  return '\n'.join(lines)
