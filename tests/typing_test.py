"""What a type checker says of a program that uses the package."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent

_RIGHT = """
import numpy as np
import tf_resflow
from tf_resflow import bijectors, layers, models, numerics, training

config = tf_resflow.VectorFlowConfig(event_size=2, num_blocks=4)
flow = tf_resflow.VectorFlow(config)
x = np.zeros([5, 2], np.float32)
flow.log_prob(x, seed=1)
flow.inverse(flow.encode([[0.1, 0.2]]))
flow.sample(5, seed=1, temperature=0.7, solver=numerics.Anderson(3))
block = layers.ResidualBlock(
    layers.SpectralDense(2), estimator=numerics.FixedTruncation(10))
bijectors.ResidualBlock(block.g, event_shape=[2], name='block')
models.Flow(block, [2], estimator=numerics.RussianRoulette()).save_norms()
training.load_config('run').replace(num_steps=10).model.event_size
"""

# Of every mistake the line, and what the message names.
_MISTAKES = {
    'tf_resflow.VectorFlowConfig(event_size=2, num_block=4)': 'num_block',
    'flow.sample(5, temprature=0.7)': 'temprature',
    'layers.SpectralDens(3)': 'SpectralDens',
    'bijectors.ResidualBlok(block.g)': 'ResidualBlok',
    'numerics.FixedTruncation("10")': 'FixedTruncation',
    'tf_resflow.laod("run")': 'laod',
}


def check_types(program, folder):
  """Returns what mypy says: pairs of a line number and a message."""
  path = folder / 'program.py'
  path.write_text(program)
  process = subprocess.run(
      [sys.executable, '-m', 'mypy', '--config-file=', f'--cache-dir={folder}',
       '--ignore-missing-imports', '--follow-imports=silent', path.name],
      env=os.environ | {'MYPYPATH': str(_ROOT)}, cwd=folder,
      capture_output=True, text=True, check=False)
  assert process.returncode in (0, 1), process.stdout + process.stderr
  return [(int(line), message) for line, message in re.findall(
      r'^program\.py:(\d+): error: (.*)$', process.stdout, re.M)]


@pytest.mark.slow
def test_mistakes_are_found_and_nothing_else(tmp_path):
  right = _RIGHT.splitlines()
  found = check_types('\n'.join([*right, *_MISTAKES]), tmp_path)
  assert [line for line, _ in found] == list(
      range(len(right) + 1, len(right) + len(_MISTAKES) + 1)), found
  for (_, message), name in zip(found, _MISTAKES.values(), strict=True):
    assert f'"{name}"' in message
