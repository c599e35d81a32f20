"""Registries of all types that flags and files select by name.

To add a type: one file, one line here, one case in `tests/cases.py`. To add
your own, call `register` of its registry in a module named by `--import`.
"""

from tf_resflow.specs import dataset_registry
from tf_resflow.specs import spec

# Log-determinant estimators (`--estimator=`): types of `numerics.Estimator`.
ESTIMATORS = spec.Registry('estimator', {
    'roulette': '.numerics.log_det.roulette:RussianRoulette',
    'adaptive': '.numerics.log_det.roulette:AdaptiveRoulette',
    'fixed': '.numerics.log_det.truncation:FixedTruncation',
    'exact': '.numerics.log_det.exact:Exact',
}, with_arguments=True)

# Distributions of the number of series terms after the exact ones, subclasses
# of `numerics.TruncationDistribution`.
TRUNCATION_DISTRIBUTIONS = spec.Registry('truncation_distribution', {
    'poisson': '.numerics.log_det.truncation_distributions:Poisson',
    'geometric': '.numerics.log_det.truncation_distributions:Geometric',
    'safe': '.numerics.log_det.truncation_distributions:SafeGeometric',
}, with_arguments=True)

# Gradient computations of series estimators (`--memory=`).
MEMORY_MODES = spec.Registry('memory', {
    'recompute': '.numerics.log_det.memory_modes:recompute',
    'neumann': '.numerics.log_det.memory_modes:neumann',
    'backward_in_forward': '.numerics.log_det.memory_modes:backward_in_forward',
    'naive': '.numerics.log_det.memory_modes:naive',
})

# Modes with equal gradients for equal draws; a run may switch between them.
AGREEING_MEMORY_MODES = ('recompute', 'neumann', 'backward_in_forward')

# Distributions of trace probes: functions (shape, seed, dtype).
PROBES = spec.Registry('probe', {
    'rademacher': '.numerics.random:rademacher',
    'gaussian': '.numerics.random:normal',
})

# Fixed-point solvers, subclasses of `numerics.Solver`.
SOLVERS = spec.Registry('solver', {
    'anderson': '.numerics.fixed_point.solver:Anderson',
    'banach': '.numerics.fixed_point.solver:Banach',
})

# Activations of residual networks (`--activation=`), subclasses of
# `layers.LipschitzLayer`.
ACTIVATIONS = spec.Registry('activation', {
    'lipswish': '.layers.lipschitz.lip_swish:LipSwish',
    'elu': '.layers.lipschitz.activations:ELU',
    'cpila': '.layers.lipschitz.concatenated:CPila',
    'clipswish': '.layers.lipschitz.concatenated:CLipSwish',
    'crelu': '.layers.lipschitz.concatenated:CReLU',
    'maxmin': '.layers.lipschitz.activations:MaxMin',
    'fullsort': '.layers.lipschitz.activations:FullSort',
    'softplus': '.layers.lipschitz.activations:Softplus',
    'relu': '.layers.lipschitz.activations:ReLU',
    'tanh': '.layers.lipschitz.activations:Tanh',
    'identity': '.layers.lipschitz.activations:Identity',
    'lipschitz_cube': '.layers.lipschitz.activations:LipschitzCube',
})

# Lipschitz constraints of linear layers (`--constraint=`): instances of
# `layers.Constraint`, or functions of options that return one.
CONSTRAINTS = spec.Registry('constraint', {
    'spectral': '.layers.lipschitz.spectral:SPECTRAL',
})

# Bounds of norms that are hard to compute (`--norm_bound=`, and the argument
# `bound` of layers).
NORM_BOUNDS = spec.Registry('norm_bound', {
    'upper': '.numerics.norms.operator_norms:UPPER',
    'estimate': '.numerics.norms.operator_norms:ESTIMATE',
    'released': '.numerics.norms.operator_norms:RELEASED',
})

# Block types (`--block=`): subclasses of `models.BlockType`, or classes that
# take the arguments of `layers.ResidualBlock`.
BLOCKS = spec.Registry('block', {
    'residual': '.models.block_types:Residual',
    'inverse': '.models.block_types:Inverse',
    'monotone': '.layers.bijections.monotone_block:MonotoneBlock',
    'coupling': '.models.block_types:Coupling',
})

# Networks of residual blocks (`--network=`): subclasses of
# `models.NetworkType`.
NETWORKS = spec.Registry('network', {
    'plain': '.models.network_types:Plain',
    'densenet': '.models.network_types:DenseNet',
    'sll': '.models.network_types:SLL',
    'cpl': '.models.network_types:CPL',
})

# Noise of integers (`--dequantization=`): subclasses of
# `dequantization_types.DequantizationType`.
DEQUANTIZATIONS = spec.Registry('dequantization', {
    'uniform': '.models.dequantization_types:Uniform',
    'variational': '.models.dequantization_types:Variational',
})

# Base distributions of the latents of flows on vectors (`--base=`), subclasses
# of `layers.BaseDistribution`.
BASES = spec.Registry('base', {
    'normal': '.layers.base_distributions:StandardNormal',
    'mixture': '.layers.base_distributions:GaussianMixture',
})

# Masks of coupling layers: functions (event_shape, swap).
MASKS = spec.Registry('mask', {
    'channel': '.layers.bijections.masks:Channel',
    'checkerboard': '.layers.bijections.masks:Checkerboard',
})

# Parameterizations of invertible matrices (`--invertible_linear=`), subclasses
# of `invertible_matrix.Parameterization`.
MATRICES = spec.Registry('matrix', {
    'free': '.layers.bijections.invertible_matrix:Free',
    'lu': '.layers.bijections.invertible_matrix:LU',
})

# First bijections on images (`--preprocessing=`): functions (config, dtype)
# that return a `layers.Bijection`.
PREPROCESSORS = spec.Registry('preprocessing', {
    'logit': '.models.blocks:make_logit',
    'standardize': '.models.blocks:make_standardize',
    'none': '.models.blocks:make_identity',
})

# Types of columns of tables (`--column_types=`), subclasses of
# `column_types.ColumnType`.
COLUMN_TYPES = spec.Registry('column type', {
    'real': '.columns.column_types:Real',
    'log': '.columns.column_types:Log',
    'logit': '.columns.column_types:Logit',
    'heavy': '.columns.column_types:Heavy',
    'integer': '.columns.column_types:Integer',
    'signed_integer': '.columns.column_types:SignedInteger',
    'heavy_integer': '.columns.column_types:HeavyInteger',
}, with_arguments=True)

# Paddings of images before random crops (`--crop_mode=`): functions (image,
# padding).
CROP_MODES = spec.Registry('crop_mode', {
    'reflect': '.datasets.pipeline:reflect',
    'constant': '.datasets.pipeline:constant',
})

# Augmentations of images with noise dimensions (`--augmentation=`): functions
# (config, dtype) that return a `layers.Augmentation`, or None. Their attribute
# `unused_fields`, if any, names fields of the configuration without effect.
AUGMENTATIONS = spec.Registry('augmentation', {
    'noise_channels': '.models.residual_flow_config:make_noise_channels',
})

# Distributions of noise channels (`--noise_distribution=`), subclasses of
# `numerics.NoiseDistribution`.
NOISE_DISTRIBUTIONS = spec.Registry('noise_distribution', {
    'uniform': '.numerics.noise_distributions:UniformNoise',
    'gaussian': '.numerics.noise_distributions:GaussianNoise',
}, with_arguments=True)

# Training losses (`--objective=`), subclasses of `models.Objective`.
OBJECTIVES = spec.Registry('objective', {
    'bits_per_dim': '.models.objectives:BitsPerDim',
    'nats': '.models.objectives:Nats',
    'cross_entropy': '.models.objectives:CrossEntropy',
    'hybrid': '.models.objectives:Hybrid',
}, with_arguments=True)

# Optimizers (`--optimizer=`): functions (config, learning_rate) that return a
# Keras optimizer.
OPTIMIZERS = spec.Registry('optimizer', {
    'adam': '.training.optimizers:make_adam',
    'sgd': '.training.optimizers:make_sgd',
    'rmsprop': '.training.optimizers:make_rmsprop',
    'adamax': '.training.optimizers:make_adamax',
})

# Learning rate schedules (`--schedule=`): functions (learning_rate,
# warmup_steps, num_steps).
SCHEDULES = spec.Registry('schedule', {
    'constant': '.training.optimizers:make_constant_rate',
    'cosine': '.training.optimizers:make_cosine_rate',
})

# Schedules that do not depend on `num_steps`, which may then change.
ENDLESS_SCHEDULES = ('constant',)

# Distribution strategies (`--strategy=`): functions that return a
# `tf.distribute.Strategy`.
STRATEGIES = spec.Registry('strategy', {
    'auto': '.training.strategies:auto',
    'single': '.training.strategies:single',
    'mirrored': '.training.strategies:mirrored',
    'multi_worker': '.training.strategies:multi_worker',
})

# Model types (`--model=`), subclasses of `models.ModelConfig` that build the
# model.
MODELS = spec.Registry('model', {
    'image': '.models.residual_flow_config:ResidualFlowConfig',
    'vector': '.models.vector_flow_config:VectorFlowConfig',
}, takes_options=False)

# Ends of the names of files of tables.
TABLE_SUFFIXES = ('.csv', '.tsv', '.txt', '.csv.gz', '.tsv.gz', '.txt.gz',
                  '.parquet', '.feather', '.xlsx')

# Data sets (`--dataset=`), instances of `datasets.DatasetInfo`, and functions
# of files that return one.
DATASETS = dataset_registry.DatasetRegistry('dataset', {
    'digits': '.datasets.catalog:DIGITS',
    'mnist5k': '.datasets.catalog:MNIST5K',
    'patches32': '.datasets.catalog:PATCHES32',
    'mnist': '.datasets.catalog:MNIST',
    'cifar10': '.datasets.catalog:CIFAR10',
    'svhn_cropped': '.datasets.catalog:SVHN_CROPPED',
    'downsampled_imagenet/32x32': '.datasets.catalog:IMAGENET32',
    'downsampled_imagenet/64x64': '.datasets.catalog:IMAGENET64',
    'imagenet_resized/32x32': '.datasets.catalog:IMAGENET_RESIZED32',
    'imagenet_resized/64x64': '.datasets.catalog:IMAGENET_RESIZED64',
    'celeb_a_hq/64': '.datasets.catalog:CELEB_A_HQ64',
    'celeb_a_hq/256': '.datasets.catalog:CELEB_A_HQ256',
    '2d/swissroll': '.datasets.catalog:SWISSROLL',
    '2d/circles': '.datasets.catalog:CIRCLES',
    '2d/rings': '.datasets.catalog:RINGS',
    '2d/moons': '.datasets.catalog:MOONS',
    '2d/8gaussians': '.datasets.catalog:EIGHT_GAUSSIANS',
    '2d/pinwheel': '.datasets.catalog:PINWHEEL',
    '2d/2spirals': '.datasets.catalog:TWO_SPIRALS',
    '2d/checkerboard': '.datasets.catalog:CHECKERBOARD',
    'images:FOLDER': '.datasets.image_folder:open_folder',
    'array:FILE.npz': '.datasets.arrays:open_array',
    'table:FILE.csv': '.datasets.tables:open_table',
    'tables:NAME': '.experiments.tables:open_table',
}, suffixes={'array': ('.npz', '.npy'), 'table': TABLE_SUFFIXES})

# Studies (`tf_resflow study NAME`), instances of `experiments.study.Study`.
STUDIES = spec.Registry('study', {
    'blocks': '.experiments.paper:BLOCKS',
    'activations': '.experiments.paper:ACTIVATIONS',
    'estimators': '.experiments.paper:ESTIMATORS',
    'truncation_bias': '.experiments.paper:BIAS',
    'hybrids_0': '.experiments.paper:HYBRIDS_0',
    'hybrids_1_d': '.experiments.paper:HYBRIDS_1_D',
    'hybrids_1': '.experiments.paper:HYBRIDS_1',
    'norms_digits': '.experiments.paper:NORMS',
    'norms_2d': '.experiments.paper:NORMS_2D',
    'densities': '.experiments.paper:DENSITIES',
    'successors': '.experiments.successors:IMAGES',
    'successors_2d': '.experiments.successors:TOYS',
    'tables': '.experiments.table_study:TABLES',
}, takes_options=False)
