"""A new type of bijection is a file, and a line in each of five others."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests import documents

# What is added to which line of which file.
_LINES = {
    'tf_resflow/layers/__init__.pyi': (
        'from .bijections.rearrangements import Squeeze as Squeeze\n',
        'from .bijections.reflected_block import '
        'ReflectedBlock as ReflectedBlock\n'),
    'tf_resflow/bijectors/__init__.pyi': (
        'from .adapted import MovingMean as MovingMean\n',
        'from .adapted import ReflectedBlock as ReflectedBlock\n'),
    'tf_resflow/bijectors/adapted.py': (
        'MovingMean = adapt(layers.MovingMean)\n',
        'ReflectedBlock = adapt(layers.ReflectedBlock)\n'),
    'tf_resflow/specs/registries.py': (
        "    'coupling': '.models.block_types:Coupling',\n",
        "    'reflected': "
        "'.layers.bijections.reflected_block:ReflectedBlock',\n"),
    'tests/cases.py': (
        "    'residual_exact': _block(estimator='exact', is_random=False),\n",
        "    'reflected': Case(lambda dtype: layers.ReflectedBlock(\n"
        "        networks.dense_g(dtype)), (3,), is_random=True),\n"),
}
_HEADER = '''"""The reflected block."""

from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection as layers
from tf_resflow.layers.bijections import residual_block


@base_layer.configured
'''


@pytest.fixture(scope='module', name='run')
def run_fixture(tmp_path_factory):
  """Runs Python in a copy of the package with the block of extending.md."""
  root = tmp_path_factory.mktemp('copy')
  for name in ('tf_resflow', 'tests', 'bin', 'docs'):
    shutil.copytree(documents.ROOT / name, root / name,
                    ignore=shutil.ignore_patterns('__pycache__'))
  for name in ('pyproject.toml', 'setup.py', 'README.md'):
    shutil.copy(documents.ROOT / name, root)
  page = (root / 'docs' / 'extending.md').read_text()
  block = re.search(r'^class ReflectedBlock.*?(?=^registries)', page,
                    re.DOTALL | re.MULTILINE)
  (root / 'tf_resflow/layers/bijections/reflected_block.py').write_text(
      _HEADER + block[0].replace(
          '(layers.ResidualBlock)', '(residual_block.ResidualBlock)'))
  for path, (before, line) in _LINES.items():
    text = (root / path).read_text()
    assert text.count(before) == 1
    (root / path).write_text(text.replace(before, before + line))

  def run(*command):
    process = subprocess.run(
        [sys.executable, *command], cwd=root, capture_output=True, text=True,
        env=os.environ | {'PYTHONPATH': str(root)}, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout

  run.root = root
  return run


@pytest.mark.slow
def test_it_is_a_flag(run):
  run('bin/train', '--flagfile=2d', '--block=reflected', '--workdir=run',
      '--num_steps=2', '--num_blocks=1', '--batch_size=16', '--sample_every=0',
      '--num_validation=100', '--noevaluate_at_end')
  assert '--block=reflected' in (run.root / 'run' / 'run.flags').read_text()


@pytest.mark.slow
def test_it_passes_conformance(run):
  """With a flow of it under a condition, and is not forgotten.

  It is a bijector, too.
  """
  printed = run(
      '-m', 'pytest', '-v', '-p', 'no:cacheprovider', 'tests/conformance',
      'tests/bijectors/adapted_test.py', '-k',
      'everything_registered or nothing_public or every_bijection or '
      '(reflected and (test_inverse or test_log_det or test_config)) or '
      '(vector_flow_conditional_reflected and test_frozen)')
  for name in (
      'every_bijection_has_a_bijector',
      'inverse_is_that_of_the_forward_direction[reflected]',
      'frozen_copies_compute_alike_and_nothing_moves_them'
      '[vector_flow_conditional_reflected]',
      'configurations_hold_everything[vector_flow_conditional_reflected]'):
    assert f'test_{name} PASSED' in printed
