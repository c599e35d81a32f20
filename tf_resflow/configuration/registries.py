"""Every name that a flag or a file may hold, and the kind behind it.

To add a kind: one file, one line here, one case in `tests/cases.py`.
"""

from tf_resflow.configuration import registry

_LOG_DET = 'tf_resflow.numerics.log_det'
_FIXED_POINT = 'tf_resflow.numerics.fixed_point'
_LIPSCHITZ = 'tf_resflow.layers.lipschitz'
_TRAINING = 'tf_resflow.training'

# Estimators of log-determinants: `--estimator=`.
ESTIMATORS = registry.Registry('estimator', {
    'roulette': f'{_LOG_DET}.russian_roulette:RussianRoulette',
    'adaptive': f'{_LOG_DET}.adaptive_roulette:AdaptiveRoulette',
    'fixed': f'{_LOG_DET}.fixed_truncation:FixedTruncation',
    'exact': f'{_LOG_DET}.exact:Exact',
})

# Laws of the number of series terms behind the exact ones.
LAWS = registry.Registry('law', {
    'poisson': f'{_LOG_DET}.laws:Poisson',
    'geometric': f'{_LOG_DET}.laws:Geometric',
    'safe': f'{_LOG_DET}.laws:SafeGeometric',
})

# Distributions of the probes of a trace.
PROBES = registry.Registry('probe', {
    'rademacher': 'tf_resflow.numerics.random:rademacher',
    'gaussian': 'tf_resflow.numerics.random:normal',
})

# Solvers of fixed points.
SOLVERS = registry.Registry('solver', {
    'anderson': f'{_FIXED_POINT}.anderson:Anderson',
    'banach': f'{_FIXED_POINT}.banach:Banach',
})

# Activations of the residual functions: `--activation=`.
ACTIVATIONS = registry.Registry('activation', {
    'lipswish': f'{_LIPSCHITZ}.lip_swish:LipSwish',
    'elu': f'{_LIPSCHITZ}.activations:ELU',
    'softplus': f'{_LIPSCHITZ}.activations:Softplus',
    'relu': f'{_LIPSCHITZ}.activations:ReLU',
    'identity': f'{_LIPSCHITZ}.activations:Identity',
    'lipschitz_cube': f'{_LIPSCHITZ}.activations:LipschitzCube',
})

# Constrained linear layers, dense and convolutional: `--constraint=`.
CONSTRAINTS = registry.Registry('constraint', {
    'spectral': f'{_LIPSCHITZ}.spectral:CONSTRAINT',
})

# Blocks that flows stack: `--block=`.
BLOCKS = registry.Registry('block', {
    'residual': 'tf_resflow.models.blocks:make_residual_block',
})

# Configurations of models, each of which builds its model: `--model=`.
MODELS = registry.Registry('model', {
    'image': 'tf_resflow.models.residual_flow_config:ResidualFlowConfig',
    'vector': 'tf_resflow.models.vector_flow_config:VectorFlowConfig',
})

# What training minimises.
OBJECTIVES = registry.Registry('objective', {
    'bits_per_dim': f'{_TRAINING}.objectives:BitsPerDim',
    'nats': f'{_TRAINING}.objectives:Nats',
    'hybrid': f'{_TRAINING}.objectives:Hybrid',
    'cross_entropy': f'{_TRAINING}.objectives:CrossEntropy',
})

# Learning rates after the warm-up: `--schedule=`.
SCHEDULES = registry.Registry('schedule', {
    'constant': f'{_TRAINING}.schedules:constant',
    'cosine': f'{_TRAINING}.schedules:cosine',
})

# Which devices a program computes on: `--strategy=`.
STRATEGIES = registry.Registry('strategy', {
    'auto': f'{_TRAINING}.strategies:auto',
    'single': f'{_TRAINING}.strategies:single',
    'mirrored': f'{_TRAINING}.strategies:mirrored',
})
