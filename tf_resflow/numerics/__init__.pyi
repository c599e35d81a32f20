from . import parallel as parallel
from . import random as random
from .fixed_point.implicit import invert_residual as invert_residual
from .fixed_point.solver import Anderson as Anderson
from .fixed_point.solver import Banach as Banach
from .fixed_point.solver import check_converged as check_converged
from .fixed_point.solver import Solution as Solution
from .fixed_point.solver import Solver as Solver
from .log_det.estimator import Draw as Draw
from .log_det.estimator import Estimator as Estimator
from .log_det.estimator import forward_and_log_det as forward_and_log_det
from .log_det.estimator import SeriesEstimator as SeriesEstimator
from .log_det.exact import Exact as Exact
from .log_det.roulette import AdaptiveRoulette as AdaptiveRoulette
from .log_det.roulette import RussianRoulette as RussianRoulette
from .log_det.series import LogDetSeries as LogDetSeries
from .log_det.series import OddSeries as OddSeries
from .log_det.series import RESIDUAL_SERIES as RESIDUAL_SERIES
from .log_det.series import TabulatedSchedule as TabulatedSchedule
from .log_det.truncation import FixedTruncation as FixedTruncation
from .log_det.truncation import NoLogDet as NoLogDet
from .log_det.truncation_distributions import Geometric as Geometric
from .log_det.truncation_distributions import Poisson as Poisson
from .log_det.truncation_distributions import SafeGeometric as SafeGeometric
from .log_det.truncation_distributions import (
    TruncationDistribution as TruncationDistribution,
)
from .noise_distributions import GaussianNoise as GaussianNoise
from .noise_distributions import NoiseDistribution as NoiseDistribution
from .noise_distributions import UniformNoise as UniformNoise
from .norms.certificates import Certificate as Certificate
from .norms.certificates import certified_norm_bound as certified_norm_bound
from .norms.operator_norms import OperatorNorm as OperatorNorm
from .residual_function import ResidualFunction as ResidualFunction
