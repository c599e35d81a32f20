"""TFP bijectors: thin adapters over layers, without variables of their own.

Every elementary bijection of `layers` has a bijector of its name and arguments;
sequences are a `Chain`, or a `LayerBijector` of the layer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
