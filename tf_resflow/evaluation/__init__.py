"""Evaluation: likelihoods, inversion, samples and their quality, figures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'baselines': ['Baseline', 'fit_baselines'],
    'example_files': [
        'append_columns', 'column_names', 'condition_names', 'read_bits',
        'read_condition', 'read_images', 'read_inputs', 'read_rows',
        'write_bits', 'write_table'],
    'features': ['FeatureExtractor', 'load_feature_extractor'],
    'plots': [
        'Box', 'density_on_grid', 'density_picture', 'image_grid', 'integral',
        'levels_to_bytes', 'save_image', 'save_image_grid', 'save_ranks'],
    'inversion': [
        'Decoded', 'InversionReport', 'NotConvergedError', 'check_inverse',
        'decode', 'decode_batches'],
    'likelihood': [
        'Classification', 'NegativeLogLikelihood', 'ScoringRule',
        'evaluate_inputs', 'default_batch_size', 'nll',
        'scoring_rule'],
    'pictures': [
        'Picture', 'draw', 'interpolations', 'linear_path', 'reconstructions',
        'samples', 'spherical_path'],
    'report': [
        'evaluate', 'format_table', 'report_inputs', 'results_of_split',
        'Validation'],
    'sample_quality': [
        'compare_samples', 'frechet_distance', 'squared_mmd',
        'squared_mmd_of_subsets'],
    'statistics': [
        'Band', 'paired_difference', 'ranks', 'simultaneous_band'],
})
