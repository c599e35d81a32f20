"""Time and memory of the tasks of a flow, each in a process of its own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'programs': [
        'make_program', 'NoProgramError', 'Program', 'write_program'],
    'report': [
        'advise', 'format_table', 'measure', 'MeasurementError',
        'read_baseline'],
    'tasks': [
        'fixed_num_terms', 'matmul_rate', 'measure_evaluation', 'measure_run',
        'measure_sampling', 'measure_training', 'memory_gb', 'peak_memory_gb',
        'Settings', 'step_work', 'StepWork', 'TASKS'],
})
