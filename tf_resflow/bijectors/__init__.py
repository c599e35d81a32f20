"""TFP bijectors: thin adapters over layers, without variables of their own.

Every bijection of `layers` has a bijector of its name and arguments.
"""

import ast
import pathlib

import lazy_loader

from tf_resflow import layers

_STUB = pathlib.Path(layers.__file__).with_suffix('.pyi').read_text()
# The bijections of `layers`, but for base classes and containers.
ADAPTED = [
    alias.name for line in ast.parse(_STUB).body for alias in line.names
    if line.module.startswith('bijections.') and
    line.module != 'bijections.bijection' and
    not alias.name.endswith('Bijection')]

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        'adapted': ADAPTED,
        'chain': ['Chain'],
        'density': ['distribution'],
        'flow_bijector': ['FlowBijector'],
        'layer_bijector': ['LayerBijector'],
    })
