"""Flows as SavedModels that need no Python of this package.

`IntegerFlow` and `VectorSignatures` define the signatures, callable from
Python as well; `export` writes them for TensorFlow Serving, with requests that
warm the server up.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
