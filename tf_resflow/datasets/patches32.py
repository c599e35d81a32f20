"""Patches of the two photographs that scikit-learn ships."""

import numpy as np

SIZE = 32
# Both photographs are 427 x 640. Each is cut into bands of 128 columns, whose
# last 32 are the test part: so both parts hold sky, roof and flower alike.
_BAND = 128
_STRIDE = 4


def load(part: str) -> tuple[np.ndarray, None]:
  """Returns the patches of a part, uint8 `[N, 32, 32, 3]`; there are no labels.

  No pixel is in both parts. Patches for training lie at every fourth row and
  column; those for testing side by side on a grid, without an overlap, so that
  standard errors across them are not those of one pixel counted often.

  Args:
    part: 'train' or 'test'.
  """
  # Imported here: scikit-learn is slow to load and needed only once.
  from sklearn import datasets

  patches = []
  for photograph in datasets.load_sample_images().images:
    height, width, _ = photograph.shape
    rows = range(0, height - SIZE + 1, _STRIDE if part == 'train' else SIZE)
    for band in range(0, width, _BAND):
      test = band + _BAND - SIZE
      columns = range(band, test - SIZE + 1, _STRIDE) if part == 'train' else (
        [test]
      )
      patches += [
        photograph[y:y + SIZE, x:x + SIZE] for x in columns for y in rows
      ]
  return np.stack(patches), None
