"""Keras 3 layers; the only owners of variables."""

import lazy_loader

# Bijections by module. `bijectors` has one of the same name for each of them.
BIJECTIONS = {
    'bijections.affine_coupling': ['AffineCoupling'],
    'bijections.composite': ['Inverse', 'Split'],
    'bijections.conditional': [
        'Conditional', 'ConditionalAffine', 'ConditionalLinear'],
    'bijections.invertible_linear': ['InvertibleConv1x1', 'InvertibleLinear'],
    'bijections.normalization': ['ActNorm', 'MovingMean'],
    'bijections.preprocessing': ['Logit', 'Standardize'],
    'bijections.rearrangements': ['FeatureTap', 'Flatten', 'Squeeze'],
    'bijections.residual_block': ['ResidualBlock'],
}

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs=BIJECTIONS | {
        'bijections.bijection': [
            'Bijection', 'EstimatorLike', 'PassResult', 'PassSettings',
            'BiLipschitzBounds', 'Solve', 'SolverLike', 'event_shape_of'],
        'bijections.sequential_bijection': ['SequentialBijection'],
        'bijections.composite': [
            *BIJECTIONS['bijections.composite'], 'CompositeBijection'],
        'classifier_head': ['ClassifierHead', 'HybridClassifier'],
        'conditions.condition_network': [
            'ConditionNetwork', 'KerasNetwork', 'LabelEmbedding',
            'VectorNetwork'],
        'conditions.conditioning': [
            'ConditionGate', 'ConditionShift', 'ConditionSpec',
            'ConditionalLayer'],
        'augmentations': [
            'Augmentation', 'Augmented', 'IdentityAugmentation',
            'NoiseChannels'],
        'lipschitz.activations': [
            'ELU', 'FullSort', 'Identity', 'LipschitzCube', 'MaxMin', 'ReLU',
            'Reshape', 'Softplus', 'Tanh'],
        'lipschitz.concatenated': [
            'CLipSwish', 'CPila', 'CReLU', 'ConcatenatedActivation'],
        'lipschitz.container': ['LipschitzContainer', 'LipschitzSequential'],
        'lipschitz.induced': [
            'InducedNormConv2D', 'InducedNormDense', 'InducedNormLayer'],
        'lipschitz.keras_layer': [
            'AssertedLayer', 'KERAS_BOUNDS', 'KerasLayer',
            'as_lipschitz_layer'],
        'lipschitz.learned_norms': ['LearnedNorms'],
        'lipschitz.lip_swish': ['LipSwish'],
        'lipschitz.lipschitz_layer': [
            'Constraint', 'ElementwiseActivation', 'LipschitzLayer'],
        'lipschitz.spectral': [
            'SpectralConv2D', 'SpectralDense', 'SpectralLayer'],
    })
