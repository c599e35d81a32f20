"""Residual Flows for TensorFlow, Keras 3 and TensorFlow Probability.

Invertible residual networks as generative models (Chen et al., 2019).
`numerics` holds the maths, `layers` the Keras layers, `bijectors` their TFP
adapters, `models` the flows of the paper. Rooms are imported when they are
used; `configuration` needs no TensorFlow.
"""

import sys

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        'benchmarking', 'bijectors', 'configuration', 'conversion', 'datasets',
        'errors', 'evaluation', 'layers', 'models', 'numerics', 'serving',
        'training'],
    submod_attrs={
        'models': ['ResidualFlow', 'ResidualFlowConfig'],
        'training': ['load']})
__version__ = '0.2.0'

if 'keras' in sys.modules:
  # So that keras.models.load_model knows the classes, which register themselves
  # when they are imported; Keras imports no other package by itself.
  from tf_resflow import layers
  from tf_resflow import models
  for room in (layers, models):
    for name in room.__all__:
      getattr(room, name)
