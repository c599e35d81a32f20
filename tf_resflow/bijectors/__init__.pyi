from .adapted import ActNorm as ActNorm
from .adapted import AffineCoupling as AffineCoupling
from .adapted import ColumnMaps as ColumnMaps
from .adapted import Conditional as Conditional
from .adapted import ConditionalAffine as ConditionalAffine
from .adapted import ConditionalLinear as ConditionalLinear
from .adapted import FactorOut as FactorOut
from .adapted import FeatureTap as FeatureTap
from .adapted import Flatten as Flatten
from .adapted import Inverse as Inverse
from .adapted import InvertibleConv1x1 as InvertibleConv1x1
from .adapted import InvertibleLinear as InvertibleLinear
from .adapted import Logit as Logit
from .adapted import MonotoneBlock as MonotoneBlock
from .adapted import MovingMean as MovingMean
from .adapted import ResidualBlock as ResidualBlock
from .adapted import Squeeze as Squeeze
from .adapted import Standardize as Standardize
from .adapted import (
    VariationalDequantization as VariationalDequantization,
)
from .chain import Chain as Chain
from .density import FlowDistribution as FlowDistribution
from .density import distribution as distribution
from .flow_bijector import FlowBijector as FlowBijector
from .layer_bijector import LayerBijector as LayerBijector
