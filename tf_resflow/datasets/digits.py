"""The 8 x 8 handwritten digits that scikit-learn ships, as a tfds builder."""

import numpy as np

from tf_resflow.datasets import embedded


class Digits(embedded.EmbeddedImages):
  """1,797 handwritten digits, 8 x 8 pixels with the 17 levels 0..16.

  The first 1,437 of `own_files.split_order(1797)` are the training part, the
  other 360 the test part. Nothing is downloaded.

  Example:
    >>> Digits(data_dir='data').info.features['image'].shape
    (8, 8, 1)

  Once this module is imported, `tfds.load('digits', split='train')` works too.

  References:
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998.
  """

  def _source(self) -> tuple[np.ndarray, np.ndarray]:
    # Imported here: scikit-learn is slow to load and needed only once.
    from sklearn import datasets

    bunch = datasets.load_digits()
    return bunch.images.astype(np.uint8)[..., np.newaxis], bunch.target
