"""A short run of the digits, and what its folder holds."""

import csv
import pathlib

from tf_resflow import configuration


def config(data_dir=None, **changes):
  """Returns the configuration of four steps of a small flow."""
  return configuration.make_config(**{
      'data_dir': data_dir, 'num_blocks': (1,), 'hidden_channels': 4,
      'num_dense_blocks': 0, 'batch_size': 32, 'num_steps': 4,
      'warmup_steps': 0, 'checkpoint_every': 2, 'sample_every': 0,
      'learning_rate': 0.01, **changes})


def contents(folder):
  """Returns the bytes and times of all files of a folder."""
  return {
      str(path.relative_to(folder)):
          (path.read_bytes(), path.stat().st_mtime_ns)
      for path in pathlib.Path(folder).rglob('*') if path.is_file()
  }


def rows(workdir):
  """Returns the rows of metrics.csv."""
  with open(pathlib.Path(workdir) / 'metrics.csv', newline='') as file:
    return list(csv.DictReader(file))
