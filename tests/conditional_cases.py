"""What takes a condition, for conformance tests.

`tests/cases.py` adds these to its tables.
"""

import functools

import keras

from tests import networks
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.checks import subjects
from tf_resflow.models import block_types
from tf_resflow.specs import registries

conditional = functools.partial(subjects.Case, has_condition=True)

# Of conditions themselves.
NETWORKS = {
    'label_embedding': subjects.Case(
        lambda dtype: layers.LabelEmbedding(3, 4, seed=1, dtype=dtype), (),
        num_labels=3),
    'vector_network': subjects.Case(
        lambda dtype: layers.VectorNetwork(
            2, 4, (3,), mean=(0.3, 0.1), std=(1.5, 2.0), seed=1, dtype=dtype),
        (2,), kernel_scale=0.3),
    'keras_network': subjects.Case(
        lambda dtype: layers.KerasNetwork(keras.Sequential([
            keras.layers.Conv2D(
                3, 2, kernel_initializer=keras.initializers.GlorotUniform(1),
                dtype=dtype),
            keras.layers.Flatten(dtype=dtype),
            keras.layers.Dense(
                4, 'tanh', dtype=dtype,
                kernel_initializer=keras.initializers.GlorotUniform(2))]),
                                          (3, 3, 1), dtype=dtype), (3, 3, 1),
        kernel_scale=0.3),
}

LIPSCHITZ = {
    'condition_shift': conditional(
        lambda dtype: layers.ConditionShift(4, dtype=dtype), (5,)),
    'condition_shift_image': conditional(
        lambda dtype: layers.ConditionShift(4, dtype=dtype), (3, 2, 2)),
    'condition_shift_positions': conditional(
        lambda dtype: layers.ConditionShift(
            4, positions=(3, 2), dtype=dtype), (3, 2, 2)),
    'condition_gate': conditional(
        lambda dtype: layers.ConditionGate(4, dtype=dtype), (5,)),
    'sequence_conditional': conditional(networks.conditional_g, (3,)),
    'sequence_conditional_conv': conditional(
        networks.conditional_conv_g, (4, 4, 2)),
}


def _conditional_chain(network, dtype):
  """All kinds of parts, behind a network of conditions."""
  return layers.Conditional(layers.SequentialBijection([
      layers.ConditionalLinear(4, max_log_scale=0.2, dtype=dtype),
      layers.ResidualBlock(networks.conditional_conv_g(dtype)),
      layers.ActNorm(dtype=dtype),
      layers.ConditionalAffine(4, max_log_scale=0.5, dtype=dtype),
      layers.Squeeze(dtype=dtype), layers.FactorOut(layers.SequentialBijection([
          layers.Flatten(dtype=dtype), layers.ConditionalAffine(
              4, per_feature=True, max_log_scale=0.5, dtype=dtype)]))]),
                            NETWORKS[network].make_fn(dtype))


BIJECTIONS = {
    'residual_conditional_dense': conditional(
        lambda dtype: layers.ResidualBlock(networks.conditional_g(dtype)),
        (3,), is_random=True),
    'monotone_conditional': conditional(
        lambda dtype: layers.MonotoneBlock(networks.conditional_g(dtype)),
        (3,), is_random=True),
    'residual_conditional_exact': conditional(
        lambda dtype: layers.ResidualBlock(
            networks.conditional_g(dtype), estimator='exact'), (3,)),
    **{f'residual_conditional_{memory}': conditional(
        lambda dtype, memory=memory: layers.ResidualBlock(
            networks.conditional_g(dtype), memory=memory), (3,),
        is_random=True, per_example=memory != 'backward_in_forward')
       for memory in ('neumann', 'backward_in_forward', 'naive')},
    'conditional_coupling': conditional(
        lambda dtype: layers.AffineCoupling(
            networks.conditional_network(dtype)), (4,),
        has_bi_lipschitz_bounds=False, kernel_scale=0.2),
    'conditional_affine': conditional(
        lambda dtype: layers.ConditionalAffine(4, dtype=dtype), (2, 3, 2),
        kernel_scale=0.3),
    'conditional_affine_feature': conditional(
        lambda dtype: layers.ConditionalAffine(
            4, per_feature=True, dtype=dtype), (2, 2), kernel_scale=0.3),
    'conditional_linear': conditional(
        lambda dtype: layers.ConditionalLinear(4, dtype=dtype), (2, 2, 3)),
    'conditional_linear_feature': conditional(
        lambda dtype: layers.ConditionalLinear(
            4, per_feature=True, dtype=dtype), (4,)),
    **{f'conditional_{name}': conditional(
        functools.partial(_conditional_chain, network), (4, 4, 2),
        is_random=True, kernel_scale=0.3)
       for name, network in (
           ('labels', 'label_embedding'), ('vectors', 'vector_network'))},
    'conditional_images': conditional(
        lambda dtype: layers.Conditional(
            layers.ConditionalAffine(4, dtype=dtype),
            NETWORKS['keras_network'].make_fn(dtype)), (3,), kernel_scale=0.3),
}


# Everything that takes a condition.
_EVERYWHERE = ('blocks', 'gates', 'act_norm', 'linear', 'base')


def conditional_image_flow(
    block: str, is_random: bool = True) -> subjects.Case:
  """Returns a case of a `models.ResidualFlow` p(x|c), of a kind of block."""
  unused = models.BlockType.of(block).unused_injection_points
  return conditional(
      models.ResidualFlowConfig(
          image_shape=(4, 4, 1), num_levels=17, num_blocks=(1, 1),
          hidden_channels=4, num_dense_blocks=1, dense_hidden_units=4,
          block=block, condition_labels=3, condition_features=4,
          condition_at=tuple(
              place for place in _EVERYWHERE if place not in unused)).build,
      (4, 4, 1), is_pixels=True, is_random=is_random, kernel_scale=0.2)


def of_a_g() -> list[str]:
  """Returns the names of the blocks derived from the residual one."""
  return [name for name in registries.BLOCKS.names() if isinstance(
      models.BlockType.of(name), block_types.NetworkBlockType)]


# Every kind of block, of network and of linear map.
MODELS = {
    'flow_conditional_residual': conditional_image_flow('residual'),
    'flow_conditional_coupling': conditional_image_flow(
        'coupling', is_random=False),
    **{f'vector_flow_conditional_{linear}': conditional(
        models.VectorFlowConfig(
            event_size=3, num_blocks=1, hidden_units=(5, 4),
            invertible_linear=linear, condition_size=2, condition_features=4,
            condition_hidden_units=(5,), condition_at=_EVERYWHERE).build,
        (3,), is_random=True, kernel_scale=0.3)
       for linear in ('free', 'lu')},
    **{f'vector_flow_conditional_{block}': conditional(
        models.VectorFlowConfig(
            event_size=3, num_blocks=1, hidden_units=(5,), block=block,
            condition_size=2, condition_features=4,
            condition_hidden_units=(5,)).build,
        (3,), is_random=True, kernel_scale=0.3)
       for block in ('inverse', *of_a_g())},
    **{f'vector_flow_conditional_{network.partition(":")[0]}': conditional(
        models.VectorFlowConfig(
            event_size=3, num_blocks=1, network=network, condition_size=2,
            condition_features=4, condition_hidden_units=(5,),
            condition_at=('blocks', 'gates')).build,
        (3,), is_random=True, kernel_scale=0.3)
       for network in networks.SMALL_NETWORKS},
    'flow_conditional_factor_out': conditional(
        models.ResidualFlowConfig(
            image_shape=(4, 4, 1), num_levels=17, num_blocks=(1, 1),
            hidden_channels=4, num_dense_blocks=0, factor_out=True,
            moving_mean=True, condition_size=1, condition_features=3).build,
        (4, 4, 1), is_pixels=True, is_random=True, kernel_scale=0.3),
}
