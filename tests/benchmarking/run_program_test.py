"""The runner stands alone: in a process without TensorFlow, on hand-made text.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

from tf_resflow.benchmarking import run_program

_TEXT = """module @m {
  func.func @main(%arg0: tensor<2x3xf32>, %arg1: tensor<3x1xf32>, \
%arg2: tensor<i64>) -> (tensor<f64>, tensor<2x1xf32>) {
    %0 = stablehlo.dot %arg0, %arg1 : (tensor<2x3xf32>, tensor<3x1xf32>) -> \
tensor<2x1xf32>
    %1 = stablehlo.convert %arg2 : (tensor<i64>) -> tensor<f64>
    return %1, %0 : tensor<f64>, tensor<2x1xf32>
  }
}
"""


@pytest.fixture(name='prefix')
def prefix_fixture(tmp_path):
  (tmp_path / 'step.mlir').write_text(_TEXT)
  # More than float32 and int32 could hold.
  np.savez(tmp_path / 'step.npz', np.float32([[1, 2, 0], [0, 0, 2]]),
           np.float32([[1], [1], [2]]), np.int64(2**40 + 1))
  return str(tmp_path / 'step')


def test_one_json_line(prefix, tmp_path):
  """`-I`: neither the checkout nor PYTHONPATH is looked at."""
  process = subprocess.run(
      [sys.executable, '-I', run_program.__file__, prefix, '--repeats=3',
       f'--optimized_hlo={tmp_path}/step.hlo'],
      capture_output=True, text=True, check=False, cwd=tmp_path)
  assert process.returncode == 0, process.stderr
  report = json.loads(process.stdout.splitlines()[-1])
  assert report['first_output'] == 2**40 + 1
  assert report['gradient_norm'] == 5.0
  assert 0.0 < report['min_s'] <= report['median_s'] < 10.0
  assert report['compile_s'] > 0.0 and report['num_repeats'] == 3
  assert {'device', 'platform', 'jax', 'temp_gb', 'peak_gb'} <= set(report)
  assert 'ENTRY' in (tmp_path / 'step.hlo').read_text()


@pytest.mark.parametrize('arguments, message', [
    (['/nowhere/step'], '/nowhere/step.npz: [Errno 2] No such file or direct'),
    (['{prefix}', '--repeats=0'], '--repeats=0: expected 1 or more.'),
    (['{prefix}'], "pip install jax, or 'jax[cuda12]' for NVIDIA GPUs.")])
def test_errors_are_one_line(capsys, monkeypatch, prefix, arguments, message):
  monkeypatch.setitem(sys.modules, 'jax', None)  # As if it were missing.
  assert run_program.main([a.format(prefix=prefix) for a in arguments]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith('run_program: error: ') and message in line
