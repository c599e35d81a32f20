"""Data sets, and their deterministic tf.data pipelines.

The tfds builders of the embedded sets, `Digits` and `Mnist5k`, live in the
module `embedded`; `load` registers them when they are asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
