"""Converts checkpoints of the authors' PyTorch code to models of this package.

Chen et al. (2019) published their trained models as PyTorch checkpoints
(https://github.com/rtqichen/residual-flows). PyTorch is not needed to read
them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
