"""Checkpoints of the authors' PyTorch code, turned into models of this package.

Chen et al. (2019) published their trained models as PyTorch checkpoints
(https://github.com/rtqichen/residual-flows). They are read here without
PyTorch: `torch_file` reads the file, `arguments` turns its training arguments
into a configuration, `weights` moves its tensors and translates the order of
latents.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        'arguments': ['Conversion', 'convert_arguments'],
        'checkpoint': ['Checkpoint', 'WEIGHTS', 'load_checkpoint'],
        'converter': ['convert', 'is_converted', 'load_model'],
        'weights': [
            'from_channels_first', 'load_weights', 'to_channels_first']})
