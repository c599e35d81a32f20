"""Training: objectives, the step, the loop, checkpoints, averages."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=['objectives'],
    submod_attrs={
        'ema': ['ExponentialMovingAverage'],
        'loop': ['TrainingInterruptedError', 'train'],
        'metrics': ['MetricsWriter', 'read_metrics'],
        'objectives': ['Batch', 'Objective'],
        'optimizers': ['make_optimizer'],
        'progress': ['format_duration', 'periodic_tasks'],
        'step': ['TrainStep'],
        'strategies': ['make_strategy'],
        'trainer': ['Trainer', 'TrainingDivergedError'],
        'workdir': [
            'check_is_new', 'create_workdir', 'load', 'load_config',
            'load_model'],
    })
