"""Every public layer, bijector and model, small, for the conformance tests.

To add one, add a line to `LAYERS`, `BIJECTORS` or `MODELS`: the tests of
`tests/conformance` then run it through every property that applies to it.
"""

from collections.abc import Callable
import dataclasses

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics


@dataclasses.dataclass(frozen=True)
class Case:
  """A named constructor and the inputs that suit it.

  Attributes:
    make_fn: maps a dtype name to a new, possibly unbuilt, subject: a layer, a
      bijector or a model.
    event_shape: shape of one input.
    is_pixels: whether inputs lie in [0, 1].
    is_random: whether the log-determinant is drawn.
  """

  make_fn: Callable
  event_shape: tuple
  is_pixels: bool = False
  is_random: bool = False

  def make(self, dtype='float32', seed=0):
    """Returns a built subject with weights away from their initial values.

    Constrained kernels come out larger than their bound, so that
    normalisation is at work.
    """
    subject = self.make_fn(dtype)
    layer = layer_of(subject)
    if not layer.built:
      layer.build((None, *self.event_shape))
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
      scale = 1.0 if variable.path.endswith('kernel') else 0.2
      noise = scale * rng.normal(size=variable.shape)
      variable.assign(variable.numpy() + noise.astype(dtype))
    return subject

  def inputs(self, dtype='float32', batch_size=4, seed=0):
    """Returns a batch, the same for the same seed."""
    rng = np.random.default_rng(100 + seed)
    shape = [batch_size, *self.event_shape]
    draw = rng.uniform if self.is_pixels else rng.normal
    return tf.constant(draw(size=shape), dtype)


def layer_of(subject):
  """Returns the Keras layer that owns the variables of a subject."""
  return subject.layer if isinstance(subject, tfb.Bijector) else subject


def evaluate(subject, x, seed=1):
  """Returns `[y]`, with a log-determinant and logits where there are some."""
  if isinstance(subject, tfb.Bijector):
    y = subject.forward(x, seed=seed)
    return [y, subject.forward_log_det_jacobian(x, seed=seed)]
  if hasattr(subject, 'forward_and_log_det'):
    outputs = list(subject.forward_and_log_det(x, seed=seed))
    if getattr(subject, 'heads', None):
      outputs.append(subject.classify(x))
    return outputs
  return [subject(x)]


def _dense_g(dtype):
  return keras.Sequential([
      keras.Input((3,)),
      layers.SpectralDense(6, coeff=0.9, seed=1, dtype=dtype),
      layers.LipSwish(dtype=dtype),
      layers.SpectralDense(3, coeff=0.9, seed=5, dtype=dtype)])


def _conv_g(dtype):
  return keras.Sequential([
      keras.Input((4, 4, 2)),
      layers.LipSwish(dtype=dtype),
      layers.SpectralConv2D(5, 3, coeff=0.9, seed=1, dtype=dtype),
      layers.LipSwish(dtype=dtype),
      layers.SpectralConv2D(5, 1, coeff=0.9, seed=5, dtype=dtype),
      layers.LipSwish(dtype=dtype),
      layers.SpectralConv2D(2, 3, coeff=0.9, seed=9, dtype=dtype)])


def _block_case(memory, make_g_fn=_dense_g, event_shape=(3,)):
  return Case(
      lambda dtype: layers.ResidualBlock(
          make_g_fn(dtype), memory=memory, dtype=dtype),
      event_shape, is_random=True)


LAYERS = {
    'lipswish': Case(lambda dtype: layers.LipSwish(dtype=dtype), (5,)),
    'elu': Case(lambda dtype: layers.ELU(dtype=dtype), (5,)),
    'softplus': Case(lambda dtype: layers.Softplus(dtype=dtype), (5,)),
    'relu': Case(lambda dtype: layers.ReLU(dtype=dtype), (5,)),
    'identity': Case(lambda dtype: layers.Identity(dtype=dtype), (5,)),
    'lipschitz_cube': Case(
        lambda dtype: layers.LipschitzCube(dtype=dtype), (5,)),
    'classifier_head': Case(
        lambda dtype: layers.ClassifierHead(3, seed=1, dtype=dtype),
        (4, 3, 2)),
    'spectral_dense': Case(
        lambda dtype: layers.SpectralDense(3, seed=1, dtype=dtype), (5,)),
    'spectral_conv': Case(
        lambda dtype: layers.SpectralConv2D(3, 3, seed=1, dtype=dtype),
        (4, 5, 2)),
    'spectral_conv_narrow': Case(
        lambda dtype: layers.SpectralConv2D(1, (3, 5), seed=1, dtype=dtype),
        (4, 5, 3)),
    'spectral_conv_1x1': Case(
        lambda dtype: layers.SpectralConv2D(3, 1, seed=1, dtype=dtype),
        (4, 4, 2)),
    'act_norm_image': Case(
        lambda dtype: layers.ActNorm(dtype=dtype), (2, 3, 2)),
    'act_norm_feature': Case(
        lambda dtype: layers.ActNorm(per_feature=True, dtype=dtype),
        (2, 3, 2)),
    'act_norm_vector': Case(lambda dtype: layers.ActNorm(dtype=dtype), (3,)),
    'squeeze': Case(lambda dtype: layers.Squeeze(dtype=dtype), (4, 2, 2)),
    'logit': Case(
        lambda dtype: layers.Logit(dtype=dtype), (2, 2, 2), is_pixels=True),
    'standardize': Case(
        lambda dtype: layers.Standardize([0.4, 0.6], [0.2, 0.3], dtype=dtype),
        (2, 2, 2), is_pixels=True),
    'residual_conv': _block_case('recompute', _conv_g, (4, 4, 2)),
    **{f'residual_{memory}': _block_case(memory)
       for memory in numerics.MEMORY_MODES},
}

BIJECTORS = {
    'bijector_act_norm': Case(
        lambda dtype: bijectors.ActNorm([3], dtype=dtype), (3,)),
    'bijector_squeeze': Case(
        lambda dtype: bijectors.Squeeze([4, 2, 1], dtype=dtype), (4, 2, 1)),
    'bijector_logit': Case(
        lambda dtype: bijectors.Logit([2, 2, 1], dtype=dtype), (2, 2, 1),
        is_pixels=True),
    'bijector_residual': Case(
        lambda dtype: bijectors.ResidualBlock(_conv_g(dtype)), (4, 4, 2),
        is_random=True),
    'bijector_residual_exact': Case(
        lambda dtype: bijectors.ResidualBlock(
            _dense_g(dtype), log_det=numerics.Exact()), (3,)),
    'bijector_of_layer': Case(
        lambda dtype: bijectors.LayerBijector(
            layers.Standardize([0.5, 0.2], [0.2, 0.3], dtype=dtype),
            event_shape=[2, 2, 2], event_ndims=3), (2, 2, 2)),
    'bijector_of_model': Case(
        lambda dtype: models.VectorFlow(
            models.VectorFlowConfig(
                event_size=3, num_blocks=1, hidden_units=(4,)),
            dtype=dtype).bijector(), (3,), is_random=True),
}


def _image_flow(event_shape=(4, 4, 1), **fields):
  fields = {
      'num_levels': 17, 'num_blocks': (1, 1), 'hidden_channels': 4,
      'num_dense_blocks': 1, 'dense_hidden_units': 4, **fields}
  config = models.ResidualFlowConfig(image_shape=event_shape, **fields)
  return Case(
      lambda dtype: models.ResidualFlow(config, dtype=dtype), event_shape,
      is_pixels=True, is_random=True)


MODELS = {
    'flow': _image_flow(),
    'flow_factor_out': _image_flow(
        factor_out=True, num_dense_blocks=0, hidden_channels=3),
    'flow_squeeze_first': _image_flow(
        squeeze_first=True, num_blocks=(1,), preprocessing='standardize',
        mean=(0.4,), std=(0.3,),
        estimator='roulette:geometric:0.3,exact=2,probe=gaussian'),
    'flow_elu': _image_flow(
        activation='elu', num_blocks=(2,), num_dense_blocks=0, act_norm=False,
        memory='neumann'),
    'flow_fully_connected': _image_flow(
        fully_connected=True, feature_act_norm=True, preprocessing='none',
        num_dense_hidden_layers=1, activation='lipschitz_cube',
        activate_first_block=True, squeeze_first=True, num_blocks=(1,)),
    'flow_hybrid': _image_flow(
        num_classes=3, head_channels=4, preactivation=False,
        feature_act_norm=True, act_norm=False, first_act_norm=False),
    'vector_flow': Case(
        lambda dtype: models.VectorFlow(
            models.VectorFlowConfig(
                event_size=3, num_blocks=2, hidden_units=(5, 4)),
            dtype=dtype), (3,), is_random=True),
}

ALL = {**LAYERS, **BIJECTORS, **MODELS}

_IS_NOT_INVERTIBLE = (
    layers.LipschitzActivation, layers.SpectralLayer, layers.ClassifierHead)

INVERTIBLE = {
    name: case for name, case in ALL.items()
    if not isinstance(case.make_fn('float32'), _IS_NOT_INVERTIBLE)
}

# One of every kind that owns trainable variables and none twice, for
# properties that are slow to check.
TRAINABLE = {
    name: case for name, case in ALL.items()
    if name not in (
        'elu', 'softplus', 'relu', 'identity', 'lipschitz_cube') and
    not any(word in name for word in ('squeeze', 'logit', 'standardize')) and
    name != 'bijector_of_layer'
} | {'flow_squeeze_first': MODELS['flow_squeeze_first']}
