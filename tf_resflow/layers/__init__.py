"""Keras 3 layers; the only owners of variables."""

import lazy_loader

# Bijections by module. `bijectors` has one of the same name for each of them.
BIJECTIONS = {
    'bijections.act_norm': ['ActNorm'],
    'bijections.affine_coupling': ['AffineCoupling'],
    'bijections.conditional': ['Conditional'],
    'bijections.conditional_affine': ['ConditionalAffine'],
    'bijections.conditional_linear': ['ConditionalLinear'],
    'bijections.feature_tap': ['FeatureTap'],
    'bijections.flatten': ['Flatten'],
    'bijections.inverse': ['Inverse'],
    'bijections.invertible_linear': ['InvertibleConv1x1', 'InvertibleLinear'],
    'bijections.logit': ['Logit'],
    'bijections.moving_mean': ['MovingMean'],
    'bijections.residual_block': ['ResidualBlock'],
    'bijections.split': ['Split'],
    'bijections.squeeze': ['Squeeze'],
    'bijections.standardize': ['Standardize'],
}

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs=BIJECTIONS | {
        'bijections.bijection': [
            'Bijection', 'EstimatorLike', 'PassResult', 'PassSettings',
            'SlopeBounds', 'Solve', 'SolverLike', 'event_shape_of'],
        'bijections.chain': ['Chain'],
        'bijections.composite': ['Composite'],
        'classifier_head': ['ClassifierHead', 'HybridClassifier'],
        'condition_spec': ['ConditionSpec'],
        'conditions.condition_network': [
            'ConditionNetwork', 'KerasNetwork', 'LabelEmbedding',
            'VectorNetwork'],
        'embeddings.embedding': [
            'Embedded', 'Embedding', 'IdentityEmbedding'],
        'embeddings.noise_channels': ['NoiseChannels'],
        'lipschitz.activations': [
            'ELU', 'FullSort', 'Identity', 'LipschitzCube', 'MaxMin', 'ReLU',
            'Softplus', 'Tanh'],
        'lipschitz.concatenated': ['CLipSwish', 'Concatenated', 'CReLU'],
        'lipschitz.conditional': [
            'ConditionGate', 'ConditionShift', 'ConditionalLayer'],
        'lipschitz.container': ['Container'],
        'lipschitz.induced': [
            'InducedNormConv2D', 'InducedNormDense', 'InducedNormLayer'],
        'lipschitz.keras_layer': [
            'Asserted', 'KERAS_BOUNDS', 'KerasLayer', 'as_lipschitz_layer'],
        'lipschitz.learned_norms': ['LearnedNorms'],
        'lipschitz.lip_swish': ['LipSwish'],
        'lipschitz.lipschitz_layer': [
            'Certificate', 'Constraint', 'Elementwise', 'LipschitzLayer'],
        'lipschitz.operator_norms': ['OperatorNorm'],
        'lipschitz.pila': ['CPila'],
        'lipschitz.reshape': ['Reshape'],
        'lipschitz.sequence': ['Sequence'],
        'lipschitz.spectral': [
            'SpectralConv2D', 'SpectralDense', 'SpectralLayer'],
    })
