"""Runs pytest on the files that a Bazel py_test passes as arguments.

A test file is plain functions: run as a script it would execute none of them
and pass.
"""

import sys

import pytest

if __name__ == '__main__':
  # Slow tests, too.
  sys.exit(pytest.main(['-p', 'no:cacheprovider', '-m', '', *sys.argv[1:]]))
