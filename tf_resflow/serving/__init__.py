"""Flows as SavedModels that need no Python of this package.

`IntegerFlow` and `VectorSignatures` are what a server answers, callable from
Python as well; `export` writes them for TensorFlow Serving, with requests that
warm the server up.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'saved_model': ['check_is_installed', 'check_is_new', 'export'],
    'served_flow': ['ServedFlow'],
    'signatures': [
        'IntegerFlow', 'VectorSignatures', 'tensor_names',
        'tensors_of_columns'],
})
