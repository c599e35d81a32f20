"""Tensors in, tensors out: no Keras, no bijector, no variable."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=['random'],
    submod_attrs={
        'fixed_point.anderson': ['Anderson'],
        'fixed_point.banach': ['Banach'],
        'fixed_point.check': ['check_converged'],
        'fixed_point.implicit': ['invert_residual'],
        'fixed_point.solution': ['Solution'],
        'fixed_point.solver': ['Solver'],
        'log_det.adaptive_roulette': ['AdaptiveRoulette'],
        'log_det.estimator': ['Estimator'],
        'log_det.exact': ['Exact'],
        'log_det.fixed_truncation': ['FixedTruncation'],
        'log_det.jacobian': ['batch_jacobian'],
        'log_det.laws': ['Geometric', 'Law', 'Poisson', 'SafeGeometric'],
        'log_det.russian_roulette': ['RussianRoulette'],
        'log_det.series': ['LogDetSeries'],
        'log_det.series_estimator': ['Draw', 'SeriesEstimator'],
        'log_det.skip': ['Skip'],
        'noinline': ['noinline_function'],
        'norms.certificates': ['Certificate'],
        'norms.operators': ['LayerOperator'],
        'norms.power_iteration': ['PowerIterationResult'],
        'residual': ['forward_and_log_det'],
        'residual_function': ['ResidualFunction'],
    })
