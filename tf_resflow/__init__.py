"""Residual Flows for TensorFlow, Keras 3 and TensorFlow Probability.

Invertible residual networks as generative models (Chen et al., 2019).
`numerics` holds the maths, `layers` the Keras layers, `bijectors` their TFP
adapters, `models` the flows of the paper.
"""

from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.models import ResidualFlow
from tf_resflow.models import ResidualFlowConfig

__version__ = '0.1.0'
