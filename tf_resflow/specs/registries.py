"""Every name that a flag or a file may hold, and the kind behind it.

To add a kind: one file, one line here, one case in `tests/cases.py`.
"""

from tf_resflow.specs import registry

_LOG_DET = 'tf_resflow.numerics.log_det'
_NOISE = 'tf_resflow.numerics.noise_laws'
_SOLVER = 'tf_resflow.numerics.fixed_point.solver'
_LIPSCHITZ = 'tf_resflow.layers.lipschitz'
_BIJECTIONS = 'tf_resflow.layers.bijections'
_TRAINING = 'tf_resflow.training'
_CATALOG = 'tf_resflow.datasets.catalog'

# Estimators of log-determinants: `--estimator=`.
ESTIMATORS = registry.Registry('estimator', {
    'roulette': f'{_LOG_DET}.roulette:RussianRoulette',
    'adaptive': f'{_LOG_DET}.roulette:AdaptiveRoulette',
    'fixed': f'{_LOG_DET}.truncation:FixedTruncation',
    'exact': f'{_LOG_DET}.exact:Exact',
})

# Laws of the number of series terms behind the exact ones.
LAWS = registry.Registry('law', {
    'poisson': f'{_LOG_DET}.laws:Poisson',
    'geometric': f'{_LOG_DET}.laws:Geometric',
    'safe': f'{_LOG_DET}.laws:SafeGeometric',
})

# How gradients of log-determinants are computed: `--memory=`.
MEMORY_MODES = registry.Registry('memory', {
    'recompute': f'{_LOG_DET}.memory_modes:recompute',
    'neumann': f'{_LOG_DET}.memory_modes:neumann',
    'backward_in_forward': f'{_LOG_DET}.memory_modes:backward_in_forward',
    'naive': f'{_LOG_DET}.memory_modes:naive',
})

# Those whose gradients agree for equal draws: a run may change between them.
AGREEING_MEMORY_MODES = ('recompute', 'neumann', 'backward_in_forward')

# Distributions of the probes of a trace.
PROBES = registry.Registry('probe', {
    'rademacher': 'tf_resflow.numerics.random:rademacher',
    'gaussian': 'tf_resflow.numerics.random:normal',
})

# Solvers of fixed points.
SOLVERS = registry.Registry('solver', {
    'anderson': f'{_SOLVER}:Anderson',
    'banach': f'{_SOLVER}:Banach',
})

# Activations of the residual functions: `--activation=`.
ACTIVATIONS = registry.Registry('activation', {
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
    'selu': 'The slope of SELU reaches 1.7581: g would be no contraction.',
    'swish': 'The slope of swish reaches 1.0998; lipswish is swish / 1.1.',
    'gelu': 'The slope of GELU reaches 1.1289: g would be no contraction.',
})

# Constrained linear layers, dense and convolutional: `--constraint=`.
CONSTRAINTS = registry.Registry('constraint', {
    'spectral': f'{_LIPSCHITZ}.spectral:SPECTRAL',
})

# What bounds a norm that is hard to compute: `--norm_bound=`, and the argument
# `bound` of layers.
NORM_BOUNDS = registry.Registry('norm_bound', {
    'upper': f'{_LIPSCHITZ}.operator_norms:UPPER',
    'estimate': f'{_LIPSCHITZ}.operator_norms:ESTIMATE',
    'released': f'{_LIPSCHITZ}.operator_norms:RELEASED',
})

# Blocks that flows stack: `--block=`. A class is that of blocks of a `g`.
BLOCKS = registry.Registry('block', {
    'residual': f'{_BIJECTIONS}.residual_block:ResidualBlock',
    'inverse': 'tf_resflow.models.blocks:make_inverse_block',
    'coupling': 'tf_resflow.models.blocks:make_coupling_block',
})

# Fields of a configuration that make no difference to a block: it is refused
# to set them.
UNUSED_FIELDS = {
    'coupling': ('constraint', 'norms', 'norm_bound', 'uncertified',
                 'lipschitz_coeff', 'estimator', 'memory')}

# Places where a condition can enter that a block does not have.
UNUSED_PLACES = {'coupling': ('gates',)}

# What passes a coupling, and what it changes.
MASKS = registry.Registry('mask', {
    'channel': f'{_BIJECTIONS}.masks:Channel',
    'checkerboard': f'{_BIJECTIONS}.masks:Checkerboard',
})

# How the matrix of an invertible linear map is trained.
MATRICES = registry.Registry('matrix', {
    'free': f'{_BIJECTIONS}.invertible_matrix:Free',
    'lu': f'{_BIJECTIONS}.invertible_matrix:LU',
})

# Invertible linear maps before the blocks of a flow: `--invertible_linear=`.
INVERTIBLE_LINEARS = registry.Registry('invertible_linear', {
    'none': 'tf_resflow.models.blocks:make_no_linear_map',
    'free': 'tf_resflow.models.blocks:make_free_linear_map',
    'lu': 'tf_resflow.models.blocks:make_lu_linear_map',
})

# What happens to images before the first block: `--preprocessing=`.
PREPROCESSORS = registry.Registry('preprocessing', {
    'logit': 'tf_resflow.models.blocks:make_logit',
    'standardize': 'tf_resflow.models.blocks:make_standardize',
    'none': 'tf_resflow.models.blocks:make_nothing',
})

# What lies around an image before it is cropped: `--crop_mode=`.
CROP_MODES = registry.Registry('crop_mode', {
    'reflect': 'tf_resflow.datasets.crops:reflect',
    'constant': 'tf_resflow.datasets.crops:constant',
})

# What happens to images before the flow: `--embedding=`.
EMBEDDINGS = registry.Registry('embedding', {
    'noise_channels': 'tf_resflow.models.blocks:make_noise_channels',
})

# Laws of the noise in the channels that it appends: `--noise_law=`.
NOISE_LAWS = registry.Registry('noise_law', {
    'uniform': f'{_NOISE}:UniformNoise',
    'gaussian': f'{_NOISE}:GaussianNoise',
})

# What training minimises.
OBJECTIVES = registry.Registry('objective', {
    'bits_per_dim': f'{_TRAINING}.objectives:BitsPerDim',
    'nats': f'{_TRAINING}.objectives:Nats',
    'cross_entropy': f'{_TRAINING}.objectives:CrossEntropy',
    'hybrid': f'{_TRAINING}.objectives:Hybrid',
})

# What makes updates of gradients: `--optimizer=`.
OPTIMIZERS = registry.Registry('optimizer', {
    'adam': f'{_TRAINING}.optimizers:make_adam',
    'sgd': f'{_TRAINING}.optimizers:make_sgd',
    'rmsprop': f'{_TRAINING}.optimizers:make_rmsprop',
    'adamax': f'{_TRAINING}.optimizers:make_adamax',
})

# Learning rates over a run, after the warm-up: `--schedule=`.
SCHEDULES = registry.Registry('schedule', {
    'constant': f'{_TRAINING}.optimizers:make_constant_rate',
    'cosine': f'{_TRAINING}.optimizers:make_cosine_rate',
})

# Those whose rates do not depend on the length of the run, which may change.
ENDLESS_SCHEDULES = ('constant',)

# Which devices a program computes on: `--strategy=`.
STRATEGIES = registry.Registry('strategy', {
    'auto': f'{_TRAINING}.strategies:auto',
    'single': f'{_TRAINING}.strategies:single',
    'mirrored': f'{_TRAINING}.strategies:mirrored',
})

# Configurations of models, each of which builds its model: `--model=`.
MODELS = registry.Registry('model', {
    'image': 'tf_resflow.models.residual_flow_config:ResidualFlowConfig',
    'vector': 'tf_resflow.models.vector_flow_config:VectorFlowConfig',
})

# Data sets, each a `datasets.DatasetInfo`: `--dataset=`.
DATASETS = registry.Registry('dataset', {
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
}, families={
    'images:FOLDER': 'tf_resflow.datasets.image_folder:open_folder',
    'array:FILE.npz': 'tf_resflow.datasets.array_file:open_file',
    'table:FILE.csv': 'tf_resflow.datasets.table_file:open_file',
})
