"""TFP bijectors: thin adapters over layers, without variables of their own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        'adapted': [
            'ActNorm', 'AffineCoupling', 'InvertibleConv1x1',
            'InvertibleLinear', 'Logit', 'Squeeze'],
        'chain': ['Chain'],
        'density': ['distribution'],
        'flow_bijector': ['FlowBijector'],
        'layer_bijector': ['LayerBijector'],
        'residual_block': ['ResidualBlock'],
    })
