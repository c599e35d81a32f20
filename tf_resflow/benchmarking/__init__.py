"""Time and memory of the tasks of a flow, each in a process of its own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'advice': ['format_advice', 'predict_run', 'warnings'],
    'figures': ['save_memory', 'save_scaling'],
    'operations': [
        'estimator_of', 'fixed_num_terms', 'predict_training', 'step_work'],
    'programs': [
        'make_program', 'NoProgramError', 'Program', 'write_program'],
    'report': [
        'check_ceiling', 'format_cost', 'format_memory', 'format_prediction',
        'format_table', 'read_baseline'],
    'runs': ['measure_run', 'memory_gb'],
    'studies': [
        'describe', 'measure', 'measure_step', 'study_cost', 'study_memory'],
    'tasks': [
        'matmul_rate', 'measure_evaluation', 'measure_sampling', 'measure_task',
        'measure_training', 'peak_memory_gb', 'Settings'],
})
