"""TFP bijectors: thin adapters over layers, without variables of their own."""

import itertools

import lazy_loader

from tf_resflow import layers

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        'adapted': [*itertools.chain(*layers.BIJECTIONS.values())],
        'chain': ['Chain'],
        'density': ['distribution'],
        'flow_bijector': ['FlowBijector'],
        'layer_bijector': ['LayerBijector'],
    })
