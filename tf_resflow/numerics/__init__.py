"""Tensors in, tensors out: no Keras, no bijector, no variable."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=['parallel', 'random'],
    submod_attrs={
        'fixed_point.implicit': ['invert_and_log_det', 'invert_residual'],
        'fixed_point.solver': [
            'Anderson', 'Banach', 'Solution', 'Solver', 'check_converged'],
        'log_det.estimator': [
            'Draw', 'Estimator', 'SeriesEstimator', 'forward_and_log_det'],
        'log_det.exact': ['Exact'],
        'log_det.truncation_distributions': [
            'Geometric', 'Poisson', 'SafeGeometric', 'TruncationDistribution'],
        'log_det.roulette': ['AdaptiveRoulette', 'RussianRoulette'],
        'log_det.series': ['LogDetSeries', 'OddSeries', 'RESIDUAL_SERIES'],
        'log_det.truncation': ['FixedTruncation', 'NoLogDet'],
        'noise_distributions': [
            'GaussianNoise', 'NoiseDistribution', 'UniformNoise'],
        'norms.certificates': ['Certificate'],
        'norms.operator_norms': ['OperatorNorm'],
        'norms.operators': ['LayerOperator'],
        'norms.power_iteration': ['PowerIterationResult'],
        'residual_function': ['ResidualFunction'],
        'tracing': ['noinline_function'],
    })
