"""Registries of all types that flags and files select by name.

To add a type: one file, one line here, one case in `tests/cases.py`. To add
your own, call `register` of its registry in a module named by `--import`.
"""

from tf_resflow.specs import dataset_registry
from tf_resflow.specs import spec

_LOG_DET = 'tf_resflow.numerics.log_det'
_NOISE = 'tf_resflow.numerics.noise_distributions'
_SOLVER = 'tf_resflow.numerics.fixed_point.solver'
_NORMS = 'tf_resflow.numerics.norms.operator_norms'
_LIPSCHITZ = 'tf_resflow.layers.lipschitz'
_BIJECTIONS = 'tf_resflow.layers.bijections'
_BLOCK_TYPES = 'tf_resflow.models.block_types'
_OBJECTIVES = 'tf_resflow.models.objectives'
_TRAINING = 'tf_resflow.training'
_COLUMN_TYPES = 'tf_resflow.columns.column_types'
_CATALOG = 'tf_resflow.datasets.catalog'
_PAPER = 'tf_resflow.experiments.paper'

# Log-determinant estimators (`--estimator=`): types of `numerics.Estimator`.
ESTIMATORS = spec.Registry('estimator', {
    'roulette': f'{_LOG_DET}.roulette:RussianRoulette',
    'adaptive': f'{_LOG_DET}.roulette:AdaptiveRoulette',
    'fixed': f'{_LOG_DET}.truncation:FixedTruncation',
    'exact': f'{_LOG_DET}.exact:Exact',
}, with_arguments=True)

# Distributions of the number of series terms after the exact ones, subclasses
# of `numerics.TruncationDistribution`.
TRUNCATION_DISTRIBUTIONS = spec.Registry('truncation_distribution', {
    'poisson': f'{_LOG_DET}.truncation_distributions:Poisson',
    'geometric': f'{_LOG_DET}.truncation_distributions:Geometric',
    'safe': f'{_LOG_DET}.truncation_distributions:SafeGeometric',
}, with_arguments=True)

# Gradient computations of series estimators (`--memory=`).
MEMORY_MODES = spec.Registry('memory', {
    'recompute': f'{_LOG_DET}.memory_modes:recompute',
    'neumann': f'{_LOG_DET}.memory_modes:neumann',
    'backward_in_forward': f'{_LOG_DET}.memory_modes:backward_in_forward',
    'naive': f'{_LOG_DET}.memory_modes:naive',
})

# Modes with equal gradients for equal draws; a run may switch between them.
AGREEING_MEMORY_MODES = ('recompute', 'neumann', 'backward_in_forward')

# Distributions of trace probes: functions (shape, seed, dtype).
PROBES = spec.Registry('probe', {
    'rademacher': 'tf_resflow.numerics.random:rademacher',
    'gaussian': 'tf_resflow.numerics.random:normal',
})

# Fixed-point solvers, subclasses of `numerics.Solver`.
SOLVERS = spec.Registry('solver', {
    'anderson': f'{_SOLVER}:Anderson',
    'banach': f'{_SOLVER}:Banach',
})

# Activations of residual networks (`--activation=`), subclasses of
# `layers.LipschitzLayer`.
ACTIVATIONS = spec.Registry('activation', {
    'lipswish': f'{_LIPSCHITZ}.lip_swish:LipSwish',
    'elu': f'{_LIPSCHITZ}.activations:ELU',
    'cpila': f'{_LIPSCHITZ}.concatenated:CPila',
    'clipswish': f'{_LIPSCHITZ}.concatenated:CLipSwish',
    'crelu': f'{_LIPSCHITZ}.concatenated:CReLU',
    'maxmin': f'{_LIPSCHITZ}.activations:MaxMin',
    'fullsort': f'{_LIPSCHITZ}.activations:FullSort',
    'softplus': f'{_LIPSCHITZ}.activations:Softplus',
    'relu': f'{_LIPSCHITZ}.activations:ReLU',
    'tanh': f'{_LIPSCHITZ}.activations:Tanh',
    'identity': f'{_LIPSCHITZ}.activations:Identity',
    'lipschitz_cube': f'{_LIPSCHITZ}.activations:LipschitzCube',
}, refused={
    'selu': 'The slope of SELU reaches 1.7581: g would not be a contraction.',
    'swish': 'The slope of swish reaches 1.0998; lipswish is swish / 1.1.',
    'gelu': 'The slope of GELU reaches 1.1289: g would not be a contraction.',
})

# Lipschitz constraints of linear layers (`--constraint=`): instances of
# `layers.Constraint`, or functions of options that return one.
CONSTRAINTS = spec.Registry('constraint', {
    'spectral': f'{_LIPSCHITZ}.spectral:SPECTRAL',
})

# Bounds of norms that are hard to compute (`--norm_bound=`, and the argument
# `bound` of layers).
NORM_BOUNDS = spec.Registry('norm_bound', {
    'upper': f'{_NORMS}:UPPER',
    'estimate': f'{_NORMS}:ESTIMATE',
    'released': f'{_NORMS}:RELEASED',
})

# Block types (`--block=`): subclasses of `models.BlockType`, or classes that
# take the arguments of `layers.ResidualBlock`.
BLOCKS = spec.Registry('block', {
    'residual': f'{_BLOCK_TYPES}:Residual',
    'inverse': f'{_BLOCK_TYPES}:Inverse',
    'coupling': f'{_BLOCK_TYPES}:Coupling',
})

# Base distributions of the latents of flows on vectors (`--base=`), subclasses
# of `layers.BaseDistribution`.
BASES = spec.Registry('base', {
    'normal': 'tf_resflow.layers.base_distributions:StandardNormal',
    'mixture': 'tf_resflow.layers.base_distributions:GaussianMixture',
})

# Masks of coupling layers: functions (event_shape, swap).
MASKS = spec.Registry('mask', {
    'channel': f'{_BIJECTIONS}.masks:Channel',
    'checkerboard': f'{_BIJECTIONS}.masks:Checkerboard',
})

# Parameterizations of invertible matrices (`--invertible_linear=`), subclasses
# of `invertible_matrix.Parameterization`.
MATRICES = spec.Registry('matrix', {
    'free': f'{_BIJECTIONS}.invertible_matrix:Free',
    'lu': f'{_BIJECTIONS}.invertible_matrix:LU',
})

# First bijections on images (`--preprocessing=`): functions (config, dtype)
# that return a `layers.Bijection`.
PREPROCESSORS = spec.Registry('preprocessing', {
    'logit': 'tf_resflow.models.blocks:make_logit',
    'standardize': 'tf_resflow.models.blocks:make_standardize',
    'none': 'tf_resflow.models.blocks:make_identity',
})

# Types of columns of tables (`--column_types=`), subclasses of
# `column_types.ColumnType`.
COLUMN_TYPES = spec.Registry('column type', {
    'real': f'{_COLUMN_TYPES}:Real',
    'log': f'{_COLUMN_TYPES}:Log',
    'logit': f'{_COLUMN_TYPES}:Logit',
    'heavy': f'{_COLUMN_TYPES}:Heavy',
    'integer': f'{_COLUMN_TYPES}:Integer',
    'signed_integer': f'{_COLUMN_TYPES}:SignedInteger',
    'heavy_integer': f'{_COLUMN_TYPES}:HeavyInteger',
}, with_arguments=True)

# Paddings of images before random crops (`--crop_mode=`): functions (image,
# padding).
CROP_MODES = spec.Registry('crop_mode', {
    'reflect': 'tf_resflow.datasets.pipeline:reflect',
    'constant': 'tf_resflow.datasets.pipeline:constant',
})

# Augmentations of images with noise dimensions (`--augmentation=`): functions
# (config, dtype) that return a `layers.Augmentation`, or None. Their attribute
# `unused_fields`, if any, names fields of the configuration without effect.
AUGMENTATIONS = spec.Registry('augmentation', {
    'noise_channels':
        'tf_resflow.models.residual_flow_config:make_noise_channels',
})

# Distributions of noise channels (`--noise_distribution=`), subclasses of
# `numerics.NoiseDistribution`.
NOISE_DISTRIBUTIONS = spec.Registry('noise_distribution', {
    'uniform': f'{_NOISE}:UniformNoise',
    'gaussian': f'{_NOISE}:GaussianNoise',
}, with_arguments=True)

# Training losses (`--objective=`), subclasses of `models.Objective`.
OBJECTIVES = spec.Registry('objective', {
    'bits_per_dim': f'{_OBJECTIVES}:BitsPerDim',
    'nats': f'{_OBJECTIVES}:Nats',
    'cross_entropy': f'{_OBJECTIVES}:CrossEntropy',
    'hybrid': f'{_OBJECTIVES}:Hybrid',
}, with_arguments=True)

# Optimizers (`--optimizer=`): functions (config, learning_rate) that return a
# Keras optimizer.
OPTIMIZERS = spec.Registry('optimizer', {
    'adam': f'{_TRAINING}.optimizers:make_adam',
    'sgd': f'{_TRAINING}.optimizers:make_sgd',
    'rmsprop': f'{_TRAINING}.optimizers:make_rmsprop',
    'adamax': f'{_TRAINING}.optimizers:make_adamax',
})

# Learning rate schedules (`--schedule=`): functions (learning_rate,
# warmup_steps, num_steps).
SCHEDULES = spec.Registry('schedule', {
    'constant': f'{_TRAINING}.optimizers:make_constant_rate',
    'cosine': f'{_TRAINING}.optimizers:make_cosine_rate',
})

# Schedules that do not depend on `num_steps`, which may then change.
ENDLESS_SCHEDULES = ('constant',)

# Distribution strategies (`--strategy=`): functions that return a
# `tf.distribute.Strategy`.
STRATEGIES = spec.Registry('strategy', {
    'auto': f'{_TRAINING}.strategies:auto',
    'single': f'{_TRAINING}.strategies:single',
    'mirrored': f'{_TRAINING}.strategies:mirrored',
    'multi_worker': f'{_TRAINING}.strategies:multi_worker',
})

# Model types (`--model=`), subclasses of `models.ModelConfig` that build the
# model.
MODELS = spec.Registry('model', {
    'image': 'tf_resflow.models.residual_flow_config:ResidualFlowConfig',
    'vector': 'tf_resflow.models.vector_flow_config:VectorFlowConfig',
}, takes_options=False)

# Ends of the names of files of tables.
TABLE_SUFFIXES = ('.csv', '.tsv', '.txt', '.csv.gz', '.tsv.gz', '.txt.gz',
                  '.parquet', '.feather', '.xlsx')

# Data sets (`--dataset=`), instances of `datasets.DatasetInfo`, and functions
# of files that return one.
DATASETS = dataset_registry.DatasetRegistry('dataset', {
    'digits': f'{_CATALOG}:DIGITS',
    'mnist5k': f'{_CATALOG}:MNIST5K',
    'patches32': f'{_CATALOG}:PATCHES32',
    'mnist': f'{_CATALOG}:MNIST',
    'cifar10': f'{_CATALOG}:CIFAR10',
    'svhn_cropped': f'{_CATALOG}:SVHN_CROPPED',
    'downsampled_imagenet/32x32': f'{_CATALOG}:IMAGENET32',
    'downsampled_imagenet/64x64': f'{_CATALOG}:IMAGENET64',
    'imagenet_resized/32x32': f'{_CATALOG}:IMAGENET_RESIZED32',
    'imagenet_resized/64x64': f'{_CATALOG}:IMAGENET_RESIZED64',
    'celeb_a_hq/64': f'{_CATALOG}:CELEB_A_HQ64',
    'celeb_a_hq/256': f'{_CATALOG}:CELEB_A_HQ256',
    '2d/swissroll': f'{_CATALOG}:SWISSROLL',
    '2d/circles': f'{_CATALOG}:CIRCLES',
    '2d/rings': f'{_CATALOG}:RINGS',
    '2d/moons': f'{_CATALOG}:MOONS',
    '2d/8gaussians': f'{_CATALOG}:EIGHT_GAUSSIANS',
    '2d/pinwheel': f'{_CATALOG}:PINWHEEL',
    '2d/2spirals': f'{_CATALOG}:TWO_SPIRALS',
    '2d/checkerboard': f'{_CATALOG}:CHECKERBOARD',
    'images:FOLDER': 'tf_resflow.datasets.image_folder:open_folder',
    'array:FILE.npz': 'tf_resflow.datasets.arrays:open_array',
    'table:FILE.csv': 'tf_resflow.datasets.tables:open_table',
    'tables:NAME': 'tf_resflow.experiments.tables:open_table',
}, suffixes={'array': ('.npz', '.npy'), 'table': TABLE_SUFFIXES})

# Studies (`tf_resflow study NAME`), instances of `experiments.study.Study`.
STUDIES = spec.Registry('study', {
    'blocks': f'{_PAPER}:BLOCKS',
    'activations': f'{_PAPER}:ACTIVATIONS',
    'estimators': f'{_PAPER}:ESTIMATORS',
    'truncation_bias': f'{_PAPER}:BIAS',
    'hybrids_0': f'{_PAPER}:HYBRIDS_0',
    'hybrids_1_d': f'{_PAPER}:HYBRIDS_1_D',
    'hybrids_1': f'{_PAPER}:HYBRIDS_1',
    'norms_digits': f'{_PAPER}:NORMS',
    'norms_2d': f'{_PAPER}:NORMS_2D',
    'densities': f'{_PAPER}:DENSITIES',
    'tables': 'tf_resflow.experiments.table_study:TABLES',
}, takes_options=False)
