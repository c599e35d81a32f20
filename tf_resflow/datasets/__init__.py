"""Data sets, and their deterministic tf.data pipelines.

The tfds builders of the embedded sets, `Digits` and `Mnist5k`, live in the
module `embedded`; `load` registers them when they are asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
  'catalog': ['info', 'names'],
  'dataset_info': ['DatasetInfo', 'DrawnInfo', 'ImageInfo', 'VectorInfo'],
  'dequantization': ['dequantize', 'quantize'],
  'loading': ['load', 'load_split'],
  'own_files': ['fingerprint'],
  'pipeline': ['evaluation_batches', 'training_batches'],
  'split': ['Split', 'first_conditions', 'some_conditions'],
  'stored_images': ['DatasetNotFoundError']})
