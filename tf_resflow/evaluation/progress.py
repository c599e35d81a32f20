"""The progress bar of evaluations."""

import sys

import keras


def progress_bar(num_images: int, verbose: int) -> keras.utils.Progbar:
  """Returns a Keras progress bar, on stdout.

  Args:
    num_images: how many there will be.
    verbose: 1 shows it, 0 does not.
  """
  return keras.utils.Progbar(
      num_images, verbose=verbose, unit_name='image',
      # Few lines where the output is not a terminal.
      interval=0.5 if sys.stdout.isatty() else 30.0)
