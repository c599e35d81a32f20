"""Evaluation: likelihoods, inversion, samples and their quality, figures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'archives': ['read_bits', 'read_inputs', 'write_bits'],
    'baselines': ['evaluate_baselines', 'format_baselines'],
    'feature_distances': [
        'FeatureMoments', 'frechet_distance', 'squared_mmd',
        'squared_mmd_of_subsets'],
    'features': ['FeatureExtractor', 'load_feature_extractor'],
    'figures': [
        'image_grid', 'levels_to_bytes', 'save_image', 'save_image_grid'],
    'interpolation': ['linear_path', 'spherical_path'],
    'inversion': [
        'Decoded', 'InversionReport', 'NotConvergedError', 'check_inverse',
        'decode', 'decode_batches'],
    'likelihood': [
        'bits_per_dim', 'default_estimator', 'evaluate_inputs',
        'fitting_batch_size'],
    'pictures': ['Picture', 'interpolations', 'reconstructions', 'samples'],
    'report': [
        'accuracy', 'evaluate', 'format_table', 'report_inputs'],
    'sample_quality': ['compare_samples'],
    'statistics': ['paired_differences'],
})
