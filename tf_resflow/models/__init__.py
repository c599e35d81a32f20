"""Flows as Keras models, with frozen configurations."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'block_types': ['BlockType'],
    'blocks': ['BlockRequest', 'make_network', 'make_residual_block',
               'make_unconstrained_network'],
    'flow': ['BlockBound', 'Flow'],
    'model_config': ['ModelConfig', 'model_from_json'],
    'residual_flow': ['ResidualFlow'],
    'residual_flow_config': ['ResidualFlowConfig'],
    'vector_flow': ['VectorFlow'],
    'vector_flow_config': ['VectorFlowConfig'],
})
