"""Evaluation: likelihoods, inversion, samples and their quality, figures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'archives': [
        'read_bits', 'read_condition', 'read_inputs', 'write_bits'],
    'bayes': ['ClassScores', 'class_scores', 'log_frequencies'],
    'bias': ['measure_bias'],
    'bias_figure': ['save_bias'],
    'baselines': ['evaluate_baselines', 'format_baselines'],
    'calibration': ['Band', 'ranks', 'save_ranks', 'simultaneous_band'],
    'classification': ['Classification', 'class_log_probs'],
    'examples': ['Examples', 'examples_from_file', 'examples_from_split'],
    'features': ['FeatureExtractor', 'load_feature_extractor'],
    'figures': [
        'image_grid', 'levels_to_bytes', 'save_image', 'save_image_grid'],
    'histograms': ['HistogramPanel', 'save_histograms'],
    'inversion': [
        'Decoded', 'InversionReport', 'NotConvergedError', 'check_inverse',
        'decode', 'decode_batches'],
    'likelihood': [
        'NegativeLogLikelihood', 'default_estimator', 'evaluate_inputs',
        'fitting_batch_size', 'nll', 'results_of_split'],
    'out_of_distribution': [
        'Scores', 'ScoringRule', 'compare_scores', 'score_examples',
        'scoring_rule'],
    'pictures': [
        'Picture', 'draw', 'interpolations', 'linear_path', 'reconstructions',
        'samples', 'spherical_path'],
    'planes': ['Box', 'density_on_grid', 'density_picture', 'integral'],
    'report': ['evaluate', 'format_table', 'report_inputs'],
    'roc': ['Auroc', 'auroc'],
    'sample_quality': [
        'FeatureMoments', 'compare_samples', 'frechet_distance', 'squared_mmd',
        'squared_mmd_of_subsets'],
    'statistics': ['paired_differences'],
    'validation': ['Validation'],
    'vector_baselines': ['fit_vector_baseline', 'format_vector_baselines'],
    'tables': [
        'append_columns', 'column_names', 'condition_names', 'read_rows',
        'write_table'],
})
