"""Tools in processes of their own."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run_python(
    *arguments: str, cwd: str | os.PathLike = ROOT,
    env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
  """Runs Python in a folder; TensorFlow's log is as `env` asks."""
  env = {k: v for k, v in os.environ.items()
         if k != 'TF_CPP_MIN_LOG_LEVEL'} | (env or {})
  return subprocess.run(
      [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True,
      check=False, env=env)


def run_launcher(
    name: str, *arguments: str, cwd: str | os.PathLike = ROOT,
) -> subprocess.CompletedProcess:
  """Runs bin/NAME in a folder."""
  return run_python(str(ROOT / 'bin' / name), *arguments, cwd=cwd)
