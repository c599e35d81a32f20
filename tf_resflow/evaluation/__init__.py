"""Evaluation: likelihoods, inversion, samples and their quality, figures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'baselines': ['Baseline', 'fit_baselines'],
    'calibration': ['Band', 'ranks', 'save_ranks', 'simultaneous_band'],
    'classification': ['Classification'],
    'example_files': [
        'append_columns', 'column_names', 'condition_names', 'read_bits',
        'read_condition', 'read_images', 'read_inputs', 'read_rows',
        'write_bits', 'write_table'],
    'features': ['FeatureExtractor', 'load_feature_extractor'],
    'figures': [
        'image_grid', 'levels_to_bytes', 'save_image', 'save_image_grid'],
    'inversion': [
        'Decoded', 'InversionReport', 'NotConvergedError', 'check_inverse',
        'decode', 'decode_batches'],
    'likelihood': [
        'NegativeLogLikelihood', 'evaluate_inputs', 'fitting_batch_size', 'nll',
        'results_of_split'],
    'pictures': [
        'Picture', 'draw', 'interpolations', 'linear_path', 'reconstructions',
        'samples', 'spherical_path'],
    'planes': ['Box', 'density_on_grid', 'density_picture', 'integral'],
    'report': ['evaluate', 'format_table', 'report_inputs', 'Validation'],
    'sample_quality': [
        'compare_samples', 'frechet_distance', 'squared_mmd',
        'squared_mmd_of_subsets'],
    'scoring': ['ScoringRule', 'scoring_rule'],
    'statistics': ['paired_difference'],
})
