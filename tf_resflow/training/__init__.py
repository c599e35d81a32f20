"""Training: objectives, the step, the loop, checkpoints, averages."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=['objectives'],
    submod_attrs={
        'ema': ['ExponentialMovingAverage'],
        'loop': ['train'],
        'metrics': ['MetricsWriter', 'read_metrics'],
        'objectives': ['Batch', 'Objective'],
        'occasions': ['occasions_of'],
        'optimizers': ['make_optimizer'],
        'progress': ['format_duration'],
        'signals': ['TrainingInterruptedError'],
        'step': ['TrainStep'],
        'strategies': ['make_strategy'],
        'trainer': ['initialize', 'Trainer', 'TrainingDivergedError'],
        'workdir': [
            'check_is_new', 'create_workdir', 'load', 'load_config',
            'load_model'],
    })
