from .augmentations import Augmentation as Augmentation
from .augmentations import Augmented as Augmented
from .augmentations import IdentityAugmentation as IdentityAugmentation
from .augmentations import NoiseChannels as NoiseChannels
from .augmentations import UniformDequantization as UniformDequantization
from .base_distributions import BaseDistribution as BaseDistribution
from .base_distributions import GaussianMixture as GaussianMixture
from .base_distributions import StandardNormal as StandardNormal
from .base_layer import build_once as build_once
from .base_layer import configured as configured
from .base_layer import track as track
from .bijections.affine_coupling import AffineCoupling as AffineCoupling
from .bijections.bijection import Bijection as Bijection
from .bijections.bijection import BiLipschitzBounds as BiLipschitzBounds
from .bijections.bijection import EstimatorLike as EstimatorLike
from .bijections.bijection import PassResult as PassResult
from .bijections.bijection import PassSettings as PassSettings
from .bijections.bijection import Solve as Solve
from .bijections.bijection import SolverLike as SolverLike
from .bijections.composite import CompositeBijection as CompositeBijection
from .bijections.composite import FactorOut as FactorOut
from .bijections.composite import Inverse as Inverse
from .bijections.composite import SequentialBijection as SequentialBijection
from .bijections.conditional import Conditional as Conditional
from .bijections.conditional import ConditionalAffine as ConditionalAffine
from .bijections.conditional import ConditionalLinear as ConditionalLinear
from .bijections.dequantization import (
    VariationalDequantization as VariationalDequantization,
)
from .bijections.invertible_linear import InvertibleConv1x1 as InvertibleConv1x1
from .bijections.invertible_linear import InvertibleLinear as InvertibleLinear
from .bijections.monotone_block import MonotoneBlock as MonotoneBlock
from .bijections.normalization import ActNorm as ActNorm
from .bijections.normalization import MovingMean as MovingMean
from .bijections.preprocessing import ColumnMaps as ColumnMaps
from .bijections.preprocessing import Logit as Logit
from .bijections.preprocessing import Standardize as Standardize
from .bijections.rearrangements import FeatureTap as FeatureTap
from .bijections.rearrangements import Flatten as Flatten
from .bijections.rearrangements import Squeeze as Squeeze
from .bijections.residual_block import ResidualBlock as ResidualBlock
from .classifier_head import HybridClassifier as HybridClassifier
from .conditions.condition_network import ConditionNetwork as ConditionNetwork
from .conditions.condition_network import KerasNetwork as KerasNetwork
from .conditions.condition_network import LabelEmbedding as LabelEmbedding
from .conditions.condition_network import VectorNetwork as VectorNetwork
from .conditions.conditioning import ConditionGate as ConditionGate
from .conditions.conditioning import ConditionShift as ConditionShift
from .conditions.conditioning import ConditionSpec as ConditionSpec
from .lipschitz.activations import ELU as ELU
from .lipschitz.activations import FullSort as FullSort
from .lipschitz.activations import Identity as Identity
from .lipschitz.activations import LipschitzCube as LipschitzCube
from .lipschitz.activations import MaxMin as MaxMin
from .lipschitz.activations import ReLU as ReLU
from .lipschitz.activations import Reshape as Reshape
from .lipschitz.activations import Softplus as Softplus
from .lipschitz.activations import Tanh as Tanh
from .lipschitz.concatenated import CLipSwish as CLipSwish
from .lipschitz.concatenated import (
    ConcatenatedActivation as ConcatenatedActivation,
)
from .lipschitz.concatenated import CPila as CPila
from .lipschitz.concatenated import CReLU as CReLU
from .lipschitz.concatenation import Concatenation as Concatenation
from .lipschitz.container import LipschitzContainer as LipschitzContainer
from .lipschitz.container import LipschitzSequential as LipschitzSequential
from .lipschitz.cpl import CPL as CPL
from .lipschitz.induced import InducedNormConv2D as InducedNormConv2D
from .lipschitz.induced import InducedNormDense as InducedNormDense
from .lipschitz.keras_layer import as_lipschitz_layer as as_lipschitz_layer
from .lipschitz.keras_layer import AssertedLayer as AssertedLayer
from .lipschitz.keras_layer import KerasLayer as KerasLayer
from .lipschitz.learned_norms import LearnedNorms as LearnedNorms
from .lipschitz.lip_swish import LipSwish as LipSwish
from .lipschitz.lipschitz_layer import Constraint as Constraint
from .lipschitz.lipschitz_layer import (
    ElementwiseActivation as ElementwiseActivation,
)
from .lipschitz.lipschitz_layer import LipschitzLayer as LipschitzLayer
from .lipschitz.sll import SLL as SLL
from .lipschitz.spectral import SpectralConv2D as SpectralConv2D
from .lipschitz.spectral import SpectralDense as SpectralDense
