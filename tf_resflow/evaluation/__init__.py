"""Evaluation: likelihoods, inversion, samples and their quality, figures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'baseline_table': ['format_baselines'],
    'baselines': ['evaluate_baselines'],
    'classification': ['accuracy'],
    'comparison': ['paired_differences', 'read_bits', 'write_bits'],
    'features': ['FeatureExtractor', 'load_feature_extractor'],
    'figures': [
        'image_grid', 'levels_to_bytes', 'save_image', 'save_image_grid'],
    'frechet': ['FeatureMoments', 'frechet_distance'],
    'inputs': ['evaluate_inputs', 'fitting_batch_size', 'read_inputs'],
    'interpolation': ['linear_path', 'spherical_path'],
    'inversion': ['InversionReport', 'check_inverse'],
    'kernel_distance': ['squared_mmd', 'squared_mmd_of_subsets'],
    'likelihood': ['bits_per_dim', 'default_estimator'],
    'pictures': ['Picture', 'interpolations', 'reconstructions', 'samples'],
    'report': ['evaluate', 'format_table', 'report_inputs'],
    'sample_quality': ['compare_samples'],
    'sampling': ['Decoded', 'NotConvergedError', 'decode', 'decode_batches'],
})
