"""Data sets and their deterministic tf.data pipelines.

The TFDS builders of the embedded data sets, `Digits` and `Mnist5k`, are in the
module `embedded`; `open_split` registers them on demand.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
