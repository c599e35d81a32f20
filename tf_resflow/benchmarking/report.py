"""Tables of measurements, alone or beside those of another program."""

import json

_ROWS = {
    'first_step_s': 'first training step after the start, s',
    'train_step_s': 'training step, s',
    'evaluate_s': 'evaluation of a batch, s',
    'sample_s': 'sampling a batch, s',
    'peak_memory_gb': 'peak memory of training, GB',
    'evaluate_deviation_nats': 'deviation of a log-det estimate, nats',
    'sample_residual_max': 'largest residual of a sample',
    'sample_num_steps_mean': 'mean evaluations of g per inverse',
    'sample_num_not_converged': 'samples that did not converge',
    'images_per_second': 'images per second of training',
    'matmul_gflops': 'matrix products alone, GFLOP/s',
    'ceiling_fraction': 'share of that in a training step',
}
# What is divided by a baseline.
_COMPARED = (
    'first_step_s', 'train_step_s', 'evaluate_s', 'sample_s',
    'peak_memory_gb', 'evaluate_deviation_nats')


def read_baseline(path):
  """Reads the last line of a file as a JSON object with measurements.

  Args:
    path: of a file with the keys of bin/benchmark, or some of them.

  Returns:
    A dict of numbers.

  Raises:
    OSError: if it cannot be read.
    ValueError: if it holds nothing to compare with.
  """
  with open(path, encoding='utf-8', errors='replace') as file:
    lines = file.read().strip().splitlines()
  try:
    values = json.loads(lines[-1]) if lines else None
  except ValueError:
    values = None
  if not isinstance(values, dict) or not any(
      isinstance(values.get(k), (int, float)) and values[k] > 0
      for k in _COMPARED):
    raise ValueError(
        f'baseline_json is {path}; expected a JSON object in its last line '
        f'with at least one positive number of {", ".join(_COMPARED)}.')
  return values


def ratios(values, baseline):
  """Returns `values / baseline` for what both measured."""
  return {
      key: values[key] / baseline[key] for key in _COMPARED
      if values.get(key) is not None and baseline.get(key)}


def format_table(values, baseline=None):
  """Returns the measurements as text, one a line.

  Args:
    values: a dict of measurements.
    baseline: another one, whose numbers and ratios stand beside.
  """
  compared = ratios(values, baseline) if baseline else {}
  lines = []
  if baseline:
    lines.append(f'{"":42s}{"this":>12s}{"baseline":>12s}{"ratio":>8s}')
  for key, label in _ROWS.items():
    if key not in values:
      continue
    line = f'{label:42s}{values[key]:12.4g}'
    if key in compared:
      line += f'{baseline[key]:12.4g}{compared[key]:8.3f}'
    lines.append(line)
  return '\n'.join(lines)
