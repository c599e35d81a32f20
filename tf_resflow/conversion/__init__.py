"""Checkpoints of the authors' PyTorch code, turned into models of this package.

Chen et al. (2019) published their trained models as PyTorch checkpoints
(https://github.com/rtqichen/residual-flows). They are read here without
PyTorch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        'arguments': ['Conversion', 'convert_arguments'],
        'converter': [
            'Checkpoint', 'WEIGHTS', 'convert', 'is_converted',
            'load_checkpoint', 'load_model'],
        'weights': [
            'from_channels_first', 'load_weights', 'to_channels_first']})
