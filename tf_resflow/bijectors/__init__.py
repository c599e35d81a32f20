"""TFP bijectors: thin adapters over layers, without variables of their own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        'act_norm': ['ActNorm'],
        'affine_coupling': ['AffineCoupling'],
        'chain': ['Chain'],
        'density': ['distribution'],
        'flow_bijector': ['FlowBijector'],
        'invertible_linear': ['InvertibleConv1x1', 'InvertibleLinear'],
        'layer_bijector': ['LayerBijector'],
        'logit': ['Logit'],
        'residual_block': ['ResidualBlock'],
        'squeeze': ['Squeeze'],
    })
