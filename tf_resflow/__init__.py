"""Residual Flows for TensorFlow, Keras 3 and TensorFlow Probability."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=['bijectors', 'layers', 'models', 'numerics'])
__version__ = '0.2.0'
