"""Tensors in, tensors out: no Keras, no bijector, no variable."""

from tf_resflow.numerics.estimators import AdaptiveDraw
from tf_resflow.numerics.estimators import AdaptiveRoulette
from tf_resflow.numerics.estimators import Draw
from tf_resflow.numerics.estimators import Exact
from tf_resflow.numerics.estimators import FixedTruncation
from tf_resflow.numerics.estimators import RussianRoulette
from tf_resflow.numerics.fixed_point import Anderson
from tf_resflow.numerics.fixed_point import Banach
from tf_resflow.numerics.fixed_point import check_converged
from tf_resflow.numerics.fixed_point import Solution
from tf_resflow.numerics.implicit import invert_residual
from tf_resflow.numerics.jacobian import batch_jacobian
from tf_resflow.numerics.jacobian import exact_log_det
from tf_resflow.numerics.operators import LayerOperator
from tf_resflow.numerics.power_iteration import PowerIteration
from tf_resflow.numerics.residual import forward_and_log_det
from tf_resflow.numerics.residual import MEMORY_MODES
from tf_resflow.numerics.shared import shared_function
from tf_resflow.numerics.traces import BlockTraces
from tf_resflow.numerics.truncation import Geometric
from tf_resflow.numerics.truncation import Poisson
from tf_resflow.numerics.truncation import Truncation
