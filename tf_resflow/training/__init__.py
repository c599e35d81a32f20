"""Training: the step, the loop, checkpoints, averages, folders of runs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'ema': ['ExponentialMovingAverage'],
    'loop': [
        'Trainer', 'TrainingDivergedError', 'TrainingInterruptedError',
        'initialize', 'make_strategy', 'train'],
    'metrics': ['MetricsWriter'],
    'optimizers': ['make_optimizer'],
    'step': ['TrainStep'],
    'workdir': ['check_is_new', 'create_workdir', 'load_config', 'load_model'],
})
