"""Keras 3 layers; the only owners of variables."""

from tf_resflow.layers.act_norm import ActNorm
from tf_resflow.layers.activations import activation_names
from tf_resflow.layers.activations import ELU
from tf_resflow.layers.activations import Identity
from tf_resflow.layers.activations import LipschitzActivation
from tf_resflow.layers.activations import LipschitzCube
from tf_resflow.layers.activations import LipSwish
from tf_resflow.layers.activations import make_activation
from tf_resflow.layers.activations import ReLU
from tf_resflow.layers.activations import Softplus
from tf_resflow.layers.classifier_head import ClassifierHead
from tf_resflow.layers.invertible import InvertibleLayer
from tf_resflow.layers.lipschitz import known_bound
from tf_resflow.layers.preprocessing import Logit
from tf_resflow.layers.preprocessing import Standardize
from tf_resflow.layers.residual_block import ResidualBlock
from tf_resflow.layers.spectral import SpectralLayer
from tf_resflow.layers.spectral_conv2d import SpectralConv2D
from tf_resflow.layers.spectral_dense import SpectralDense
from tf_resflow.layers.squeeze import Squeeze
