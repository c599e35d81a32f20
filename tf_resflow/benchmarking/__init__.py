"""Time and memory of the tasks of a flow, each in a process of its own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'advice': ['advise', 'measure_run'],
    'operations': ['estimator_of', 'fixed_num_terms', 'step_work', 'StepWork'],
    'processes': ['measure', 'MeasurementError'],
    'programs': [
        'make_program', 'NoProgramError', 'Program', 'write_program'],
    'report': ['check_ceiling', 'format_table', 'read_baseline'],
    'tasks': [
        'matmul_rate', 'measure_evaluation', 'measure_sampling', 'measure_task',
        'measure_training', 'memory_gb', 'peak_memory_gb', 'Settings'],
})
