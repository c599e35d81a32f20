"""TFP bijectors: thin adapters over layers, without variables of their own."""

from tf_resflow.bijectors.act_norm import ActNorm
from tf_resflow.bijectors.chain import Chain
from tf_resflow.bijectors.layer_bijector import LayerBijector
from tf_resflow.bijectors.logit import Logit
from tf_resflow.bijectors.residual_block import ResidualBlock
from tf_resflow.bijectors.squeeze import Squeeze
