"""Every public layer, bijection, bijector and model, for conformance tests.

To add one, add a line to its table: the tests of `tests/conformance` then run
it through every property that applies to it. Estimators, distributions and
solvers have their tables in `tests/numerics/cases.py`.

A reader's own kinds take the same tests, see `tests/extending_types/plugin.py`.
"""

import functools
from typing import Any

import keras

from tests import conditional_cases
from tests import networks
from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.checks import subjects
from tf_resflow.layers import classifier_head
from tf_resflow.specs import registries

Case = subjects.Case


def _plain(layer_class, event_shape=(5,), **kwargs):
  """A case of a layer without variables."""
  return Case(lambda dtype: layer_class(**kwargs, dtype=dtype), event_shape,
              has_variables=False)


LIPSCHITZ = {
    'lipswish': Case(lambda dtype: layers.LipSwish(dtype=dtype), (5,)),
    'elu': _plain(layers.ELU),
    'softplus': _plain(layers.Softplus),
    'relu': _plain(layers.ReLU),
    'tanh': _plain(layers.Tanh),
    'identity': _plain(layers.Identity),
    'lipschitz_cube': _plain(layers.LipschitzCube),
    'cpila': _plain(layers.CPila),
    'clipswish': Case(lambda dtype: layers.CLipSwish(dtype=dtype), (5,)),
    'crelu': _plain(layers.CReLU),
    'maxmin': _plain(layers.MaxMin, (6,)),
    'fullsort': _plain(layers.FullSort),
    'reshape': _plain(layers.Reshape, (2, 3), target_shape=(3, 2)),
    **{name: Case(*case) for name, case in networks.LINEAR.items()},
    'sequence_dense': Case(
        lambda dtype: layers.as_lipschitz_layer(networks.dense_g(dtype)), (3,)),
    'sequence_conv': Case(
        lambda dtype: layers.as_lipschitz_layer(networks.conv_g(dtype)),
        (4, 4, 2)),
    'sequence_mixed': Case(networks.mixed_g, (2, 2, 3)),
    'keras_layer': Case(
        lambda dtype: layers.KerasLayer(
            keras.layers.Activation('sigmoid', dtype=dtype)), (5,),
        has_variables=False),
    'concatenation': Case(
        lambda dtype: layers.Concatenation(layers.SpectralDense(
            4, coeff=0.9, seed=1, dtype=dtype)), (5,)),
    'sll_dense': Case(
        lambda dtype: layers.SLL(4, num_channels=6, seed=1, dtype=dtype), (5,)),
    'sll_conv': Case(
        lambda dtype: layers.SLL(3, seed=1, dtype=dtype), (3, 4, 2)),
    'cpl_dense': Case(
        lambda dtype: layers.CPL(
            layers.SpectralDense(4, seed=1, dtype=dtype), num_channels=6),
        (5,)),
    'cpl_conv': Case(
        lambda dtype: layers.CPL(layers.SpectralConv2D(
            3, 3, seed=1, dtype=dtype)), (3, 4, 2)),
    'asserted': Case(
        lambda dtype: layers.as_lipschitz_layer(
            networks.ScaledTanh(dtype=dtype), lipschitz_bound=0.5), (5,)),
    **conditional_cases.LIPSCHITZ,
}

# Layers that are neither Lipschitz nor invertible.
CLASSIFIERS = {
    'classifier_head': Case(
        lambda dtype: classifier_head.ClassifierHead(3, seed=1, dtype=dtype),
        (4, 3, 2)),
}


# From data to events: their log-weights stand for log-determinants.
AUGMENTATIONS = {
    'identity_augmentation': _plain(layers.IdentityAugmentation, (3, 2)),
    'noise_uniform': _plain(layers.NoiseChannels, (2, 3, 2), num_channels=3),
    'noise_gaussian': Case(
        lambda dtype: layers.NoiseChannels(1, 'gaussian', dtype=dtype), (5,),
        is_random=True, has_variables=False),
    'noise_learned': Case(
        lambda dtype: networks.LearnedNoise(dtype=dtype), (3,), is_random=True),
    'dequantization': Case(
        lambda dtype: layers.UniformDequantization([0, 2], dtype=dtype), (3,),
        has_variables=False, is_integer=True),
    'dequantization_learned': Case(
        networks.learned_cells, (3,), is_integer=True, is_random=True),
}


def _mixture(dtype):
  """With two of three components at work."""
  base = layers.GaussianMixture(3, dtype=dtype)
  base.build((None, 3))
  weights, means, factors = base.get_weights()
  weights[:2] = 0.4, 0.6
  means[1] = 1.0
  factors[1, 0, 2] = 0.5
  base.set_weights([weights, means, factors])
  return base


# Of latents, `[D]`.
BASES = {
    'normal': _plain(layers.StandardNormal, (3,)),
    'mixture': Case(_mixture, (3,), has_variables=False),
}


def _block(make_g_fn=networks.dense_g, event_shape=(3,), is_random=True,
           per_example=True, block_class=layers.ResidualBlock, **kwargs):
  return Case(
      lambda dtype: block_class(make_g_fn(dtype), **kwargs),
      event_shape, is_random=is_random, per_example=per_example)


def _chain(dtype):
  """All kinds of parts, with a classifier's features let out on the way."""
  return layers.SequentialBijection([
      layers.Squeeze(dtype=dtype), layers.ActNorm(dtype=dtype),
      layers.FactorOut(layers.SequentialBijection([
          layers.FeatureTap(dtype=dtype), layers.Flatten(dtype=dtype),
          layers.ResidualBlock(keras.Sequential([
              layers.SpectralDense(4, coeff=0.9, seed=1, dtype=dtype),
              layers.LipSwish(dtype=dtype),
              layers.SpectralDense(8, coeff=0.9, seed=5, dtype=dtype)])),
          layers.ActNorm(dtype=dtype)]), num_taps=1)])


def coupling(event_shape: tuple, num_outputs: int, **kwargs: Any) -> Case:
  """Returns a case of a `layers.AffineCoupling`, convolutional for images."""
  def make(dtype):
    network = networks.plain_network(
        keras.layers.Dense, (6, num_outputs), dtype
    ) if len(event_shape) == 1 else networks.plain_network(
        keras.layers.Conv2D, (6, num_outputs), dtype, kernel_size=3,
        padding='same')
    return layers.AffineCoupling(network, **kwargs)

  return Case(
      make, event_shape, has_bi_lipschitz_bounds=False, kernel_scale=0.2)


def _flattened_coupling(dtype):
  """A dense network that scales and shifts the channels of flat images."""
  return layers.AffineCoupling(layers.LipschitzSequential([
      layers.Reshape((-1,), dtype=dtype),
      layers.as_lipschitz_layer(
          networks.plain_network(keras.layers.Dense, (5, 24), dtype)),
      layers.Reshape((2, 3, 4), dtype=dtype)]), swap=True, shape=(2, 3, 4))


BIJECTIONS = {
    'act_norm_image': Case(
        lambda dtype: layers.ActNorm(dtype=dtype), (2, 3, 2)),
    'act_norm_feature': Case(
        lambda dtype: layers.ActNorm(per_feature=True, dtype=dtype),
        (2, 3, 2)),
    'moving_mean': Case(networks.moving_mean, (2, 3, 2)),
    'squeeze': _plain(layers.Squeeze, (4, 2, 2)),
    'flatten': _plain(layers.Flatten, (2, 3, 2)),
    'feature_tap': _plain(layers.FeatureTap, (2, 3, 2), shape=(6, 2)),
    'logit': Case(
        lambda dtype: layers.Logit(dtype=dtype), (2, 2, 2), is_pixels=True,
        has_variables=False),
    'standardize': Case(
        lambda dtype: layers.Standardize(
            [0.4, 0.6], [0.2, 0.3], [0.8, -0.3, 1.5], dtype=dtype),
        (2, 2, 2), is_pixels=True, has_variables=False),
    'column_maps': Case(
        lambda dtype: layers.ColumnMaps(
            ['log', 'real', 'heavy:0.3:0.2', 'logit', 'log'], dtype=dtype),
        (5,), is_pixels=True, has_variables=False,
        has_bi_lipschitz_bounds=False),
    'variational_dequantization': Case(
        networks.learned_dequantization, (2, 2, 2), is_pixels=True,
        has_bi_lipschitz_bounds=False),
    'chain': Case(_chain, (4, 4, 1), is_random=True),
    'factor_out': Case(
        lambda dtype: layers.FactorOut(layers.ActNorm(dtype=dtype)), (2, 2, 5)),
    'coupling_channel': coupling((3, 2, 4), 4),
    'coupling_checkerboard': coupling((3, 4, 2), 4, mask='checkerboard'),
    'coupling_vector': coupling((5,), 6),
    'coupling_flattened': Case(
        _flattened_coupling, (24,), has_bi_lipschitz_bounds=False,
        kernel_scale=0.2),
    'invertible_conv_lu': Case(
        lambda dtype: layers.InvertibleConv1x1('lu', seed=1, dtype=dtype),
        (2, 3, 4)),
    'invertible_linear_free': Case(
        lambda dtype: layers.InvertibleLinear('free', seed=1, dtype=dtype),
        (1, 2, 3)),
    'residual_block_induced': _block(networks.induced_g),
    'residual_block_learned': _block(networks.learned_g),
    'residual_block_learned_estimate': _block(
        functools.partial(networks.learned_g, bound='estimate')),
    'residual_conv': _block(networks.conv_g, (4, 4, 2)),
    'residual_exact': _block(estimator='exact', is_random=False),
    'inverse_residual': Case(
        lambda dtype: layers.Inverse(layers.ResidualBlock(
            networks.dense_g(dtype))), (3,), is_random=True),
    'monotone': _block(block_class=layers.MonotoneBlock),
    'monotone_conv': _block(
        networks.conv_g, (4, 4, 2), block_class=layers.MonotoneBlock),
    'residual_asserted': _block(
        lambda dtype: networks.ScaledTanh(dtype=dtype), lipschitz_bound=0.5,
        solver='banach'),
    **{f'residual_{name}_dense': _block(
        functools.partial(networks.dense_g, activation=name))
       for name in ('cpila', 'maxmin', 'clipswish')},
    **{f'residual_{memory}': _block(
        memory=memory, per_example=memory != 'backward_in_forward')
       for memory in registries.MEMORY_MODES.names()},
    **conditional_cases.BIJECTIONS,
}

BIJECTORS = {
    'bijector_conditional': conditional_cases.conditional(
        lambda dtype: bijectors.ResidualBlock(
            networks.conditional_g(dtype), [3]), (3,), is_random=True),
    'bijector_act_norm': Case(
        lambda dtype: bijectors.ActNorm([3], dtype=dtype), (3,)),
    'bijector_squeeze': Case(
        lambda dtype: bijectors.Squeeze([4, 2, 1], dtype=dtype), (4, 2, 1),
        has_variables=False),
    'bijector_residual': Case(
        lambda dtype: bijectors.ResidualBlock(networks.conv_g(dtype)),
        (4, 4, 2), is_random=True),
    'bijector_residual_exact': Case(
        lambda dtype: bijectors.ResidualBlock(
            networks.dense_g(dtype), estimator='exact'), (3,)),
    'bijector_of_layer': Case(
        lambda dtype: bijectors.LayerBijector(
            layers.Standardize([0.5, 0.2], [0.2, 0.3], dtype=dtype),
            event_shape=[2, 2, 2]), (2, 2, 2), has_variables=False),
    'bijector_of_chain': Case(
        lambda dtype: bijectors.LayerBijector(
            _chain(dtype), event_shape=[4, 4, 1]), (4, 4, 1), is_random=True),
    'bijector_of_model': Case(
        lambda dtype: models.VectorFlowConfig(
            event_size=3, num_blocks=1, hidden_units=(4,)
        ).build(dtype).bijector(), (3,), is_random=True),
}


def image_flow(event_shape: tuple = (4, 4, 1), is_random: bool = True,
               kernel_scale: float = 1.0, **fields: Any) -> Case:
  """Returns a case of a small `models.ResidualFlow`."""
  fields = {
      'num_levels': 17, 'num_blocks': (1, 1), 'hidden_channels': 4,
      'num_dense_blocks': 1, 'dense_hidden_units': 4, **fields}
  config = models.ResidualFlowConfig(image_shape=event_shape, **fields)
  return Case(config.build, event_shape, is_pixels=True, is_random=is_random,
              kernel_scale=kernel_scale)


MODELS = {
    'flow': image_flow(),
    'flow_squeeze_first': image_flow(
        squeeze_first=True, num_blocks=(1,), preprocessing='standardize',
        mean=(0.4,), std=(0.3,), moving_mean=True,
        estimator='roulette:geometric:0.3,probe=gaussian'),
    'flow_fully_connected': image_flow(
        fully_connected=True, feature_act_norm=True, preprocessing='none',
        num_dense_hidden_layers=1, activation='lipschitz_cube',
        activate_first_block=True, squeeze_first=True, num_blocks=(1,)),
    'flow_hybrid': image_flow(
        num_classes=3, head_channels=4, preactivation=False,
        num_dense_blocks=0, act_norm=False, first_act_norm=False),
    'flow_coupling': image_flow(
        block='coupling', activation='relu', num_blocks=(2, 1),
        num_dense_blocks=2, is_random=False, kernel_scale=0.2),
    'flow_coupling_hybrid': image_flow(
        block='coupling', activation='relu', invertible_linear='free',
        num_classes=3, head_channels=4, factor_out=True, num_dense_blocks=0,
        is_random=False, kernel_scale=0.2),
    'vector_flow_coupling': Case(
        models.VectorFlowConfig(
            event_size=4, num_blocks=2, hidden_units=(5, 4), block='coupling',
            activation='relu', invertible_linear='lu').build, (4,),
        kernel_scale=0.2),
    'vector_flow': Case(
        models.VectorFlowConfig(
            event_size=3, num_blocks=2, hidden_units=(5, 4)).build, (3,),
        is_random=True),
    'vector_flow_mixture': Case(
        lambda dtype: models.Flow(
            layers.ResidualBlock(networks.dense_g(dtype)), (3,),
            base=_mixture(dtype)), (3,), is_random=True),
    'flow_norms': image_flow(
        norms=('inf', '2', '3', 'inf'), num_blocks=(1,), num_dense_blocks=1),
    'flow_densenet': image_flow(
        network='densenet:2,growth=4', num_blocks=(1,), hidden_channels=512,
        dense_hidden_units=128, dequantization='variational:2,channels=4',
        num_levels=2, kernel_scale=0.2),
    **conditional_cases.MODELS,
}

# No bijections of their data, beside which they have noise.
AUGMENTED_MODELS = {
    'flow_noise': image_flow(noise_channels=1, num_dense_blocks=0),
    'flow_noise_hybrid': image_flow(
        noise_channels=2, noise_distribution='gaussian', num_classes=3,
        head_channels=4,
        squeeze_first=True, num_blocks=(1,), preprocessing='standardize',
        mean=(0.4,), std=(0.3,), moving_mean=True),
}

# Types of models that have no case, but runs, such as those on categories.
TRAINED_MODELS: set[type] = set()

# Data sets that are read without a network.
DATASETS = {name: name for name in (
    'digits', 'mnist5k', 'patches32', '2d/swissroll', '2d/circles', '2d/rings',
    '2d/moons', '2d/8gaussians', '2d/pinwheel', '2d/2spirals',
    '2d/checkerboard')}

# Cases among the slow tests. Fast ones have the same class, or are made of it,
# and each branch that a property of a case decides; one class adapts bijectors.
SLOW = frozenset({
    'spectral_conv_narrow', 'spectral_conv_1x1', 'induced_rows',
    'induced_columns', 'induced_spectral', 'induced_conv_rows',
    'induced_conv_1x1', 'sequence_induced', 'sequence_dense',
    'condition_shift_image', 'sequence_conditional_conv', 'cpl_conv',
    'act_norm_feature', 'factor_out', 'coupling_vector', 'coupling_flattened',
    'residual_block_induced', 'residual_block_learned',
    'residual_block_learned_estimate',
    'residual_cpila_dense', 'residual_maxmin_dense', 'residual_clipswish_dense',
    'monotone_conv', 'monotone_conditional',
    'residual_conditional_exact', 'residual_conditional_neumann',
    'residual_conditional_backward_in_forward', 'residual_conditional_naive',
    'conditional_affine_feature', 'conditional_linear_feature',
    'conditional_vectors', 'conditional_images',
    'bijector_squeeze', 'bijector_residual_exact', 'bijector_of_chain',
    'flow', 'flow_squeeze_first', 'flow_fully_connected',
    'flow_coupling_hybrid', 'vector_flow_coupling', 'vector_flow_mixture',
    'flow_norms', 'flow_densenet', 'vector_flow_conditional_densenet',
    'condition_shift_positions', 'vector_flow_conditional_sll',
    'flow_conditional_residual', 'flow_conditional_coupling',
    'flow_conditional_factor_out', 'vector_flow_conditional_free',
    'vector_flow_conditional_cpl', 'vector_flow_conditional_inverse',
    'vector_flow_conditional_monotone', 'flow_noise_hybrid', 'patches32'})


def invertible() -> dict[str, Case]:
  """Returns the cases that are invertible."""
  return {**BIJECTIONS, **BIJECTORS, **MODELS}


def everything() -> dict[str, Case]:
  """Returns all cases."""
  return {**LIPSCHITZ, **CLASSIFIERS, **conditional_cases.NETWORKS,
          **AUGMENTATIONS, **BASES, **AUGMENTED_MODELS, **invertible()}


def representatives() -> list[str]:
  """Returns the names of all but `SLOW`, so at least one of every class."""
  return [name for name in everything() if name not in SLOW]


def keras_layers() -> dict[str, Case]:
  """Returns the cases of Keras layers and models."""
  return {k: v for k, v in everything().items() if k not in BIJECTORS}


def trainable() -> dict[str, Case]:
  """Returns the cases with trainable variables."""
  return {k: v for k, v in everything().items() if v.has_variables}
