"""Image data sets and their deterministic tf.data pipelines.

The tfds builders of the embedded sets, `Digits` and `Mnist5k`, live in the
modules `digits` and `mnist5k`; `load` registers them when they are asked for.
"""

from tf_resflow.datasets.catalog import DatasetInfo
from tf_resflow.datasets.catalog import info
from tf_resflow.datasets.catalog import names
from tf_resflow.datasets.loading import DatasetNotFoundError
from tf_resflow.datasets.loading import ImageSplit
from tf_resflow.datasets.loading import load
from tf_resflow.datasets.pipeline import evaluation_batches
from tf_resflow.datasets.pipeline import training_batches
from tf_resflow.datasets.quantization import dequantize
from tf_resflow.datasets.quantization import quantize

__all__ = [
  'DatasetInfo',
  'DatasetNotFoundError',
  'ImageSplit',
  'dequantize',
  'evaluation_batches',
  'info',
  'load',
  'names',
  'quantize',
  'training_batches',
]
