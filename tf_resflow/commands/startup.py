"""The start of a tool: quiet logs, TensorFlow, its settings for training."""

from collections.abc import Iterator
import contextlib
import gc
import logging
import os
import sys
import tempfile

from absl import flags
from absl import logging as absl_logging

from tf_resflow import errors


def start_logging() -> None:
  """Shows this package's messages, but not one for every file TFDS reads."""
  flags.FLAGS.mark_as_parsed()  # Until then absl warns with every message.
  absl_logging.use_absl_handler()
  absl_logging.set_verbosity(absl_logging.WARNING)
  absl_logging.get_absl_handler().setFormatter(errors.PlainFormatter())
  logging.getLogger('tf_resflow').setLevel(logging.INFO)


def load_tensorflow() -> None:
  """Imports TensorFlow for a process that runs a tool.

  Without its start-up lines, unless the environment asks for them by
  TF_CPP_MIN_LOG_LEVEL=0, and without looking for garbage in what was imported.
  """
  if 'tensorflow' in sys.modules:
    return
  is_quiet = os.environ.setdefault(
      'TF_CPP_MIN_LOG_LEVEL', '3') not in ('0', '1')
  gc.disable()
  # Its libraries write some lines before they ask how much to log.
  with _held_back_stderr() if is_quiet else contextlib.nullcontext():
    import tensorflow
  if is_quiet:
    # It warns of each value of a checkpoint that does not fit, hundreds.
    tensorflow.get_logger().setLevel(logging.ERROR)
  gc.freeze()
  gc.enable()


def set_up_training(jit_compile: bool = False) -> None:
  """Sets TensorFlow up for training on CPUs, from now on.

  Graphs run as they are: rewriting those of a training step takes as long as
  tracing them, and saves no time later. Inverses would gain from it. And
  operations have one thread each, while batches are divided among the cores;
  not where XLA compiles steps, which divides its own operations.
  """
  import tensorflow as tf

  from tf_resflow import numerics
  if not tf.config.list_physical_devices('GPU'):
    tf.config.optimizer.set_experimental_options(
        {'disable_meta_optimizer': True})
  if jit_compile:
    return
  try:
    numerics.parallel.give_operations_one_thread()
  except RuntimeError:
    # A user's module has run something.
    logging.getLogger('tf_resflow').warning(
        'A module of --import runs TensorFlow operations when it is imported; '
        'each operation keeps its threads, which makes training slower.')


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
  """Drops what the process writes to stderr, unless an error ends the block."""
  sys.stderr.flush()
  stderr = os.dup(2)
  with tempfile.TemporaryFile() as file:
    os.dup2(file.fileno(), 2)
    try:
      yield
    except Exception:
      file.seek(0)
      os.write(stderr, file.read())
      raise
    finally:
      sys.stderr.flush()
      os.dup2(stderr, 2)
      os.close(stderr)
