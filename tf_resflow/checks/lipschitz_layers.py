"""Lipschitz layers: their bounds, and their pure functions."""

import numpy as np
import tensorflow as tf

from tf_resflow.checks import properties
from tf_resflow.checks import subjects
from tf_resflow.checks.subjects import close
from tf_resflow.checks.subjects import require
from tf_resflow.checks.subjects import Subject
from tf_resflow.layers.lipschitz import learned_norms
from tf_resflow.layers.lipschitz import lipschitz_layer

_ROUNDING = 1.0 + 1e-9
# Power iteration bounds a norm from below, to a relative 1e-3.
_MARGIN = 1.0 + 1e-3


@properties.check(properties.LIPSCHITZ)
def no_slope_exceeds_the_bound_or_the_certificate(subject: Subject) -> None:
  """Slopes near zero, where activations are steep, and far off keep to bounds.

  So do those for conditions of all sizes.
  """
  layer, _ = subject.of()
  domain = learned_norms.present_order(layer.domain or 2.0)
  codomain = learned_norms.present_order(layer.codomain or domain)
  x = subject.case.inputs('float64', batch_size=10)
  x = tf.concat([0.03 * x, x, 10.0 * x], axis=0)
  if layer.spec is not None:  # Far conditions, too.
    layer = layer.given(
        layer.condition(x) * np.geomspace(1e-3, 1e6, len(x)).reshape(
            [-1, *[1] * len(layer.spec.shape)]))
  slope = subjects.induced_norm(subjects.jacobians(layer, x), domain, codomain)
  certificate, bound = layer.certificate(), layer.lipschitz_bound
  num_constrained = layer.num_constrained
  estimate = layer.norm_estimate()
  if estimate is None or certificate is None:  # Of norms that nobody knows.
    require(slope <= bound * _MARGIN, f'slopes reach {slope:.6g}; '
            f'lipschitz_bound is {bound:.6g}')
    return
  margin = _MARGIN**num_constrained * _ROUNDING
  # Whoever estimates a norm does not know a bound.
  known = np.inf if layer.bound_source == lipschitz_layer.ESTIMATED else bound
  require(slope <= min(certificate.bound * _ROUNDING, estimate * margin,
                       known * margin)
          # Both are computed, by different ways.
          and 0.0 < estimate <= min(certificate.bound, known) * (1.0 + 1e-6)
          and certificate.bound <= bound * 1.5**num_constrained,
          f'slopes reach {slope:.6g}; lipschitz_bound is {bound:.6g}, '
          f'norm_estimate {estimate:.6g}, certificate {certificate.bound:.6g}')
  is_asserted = layer.bound_source == 'assertion'
  require(len(certificate.methods) == (1 if is_asserted else num_constrained)
          and num_constrained == len(layer.constrained_layers()),
          f'{num_constrained} constrained layers are certified by '
          f'{certificate.methods}')


def _pure(layer, x, source=None):
  """Evaluates a layer by its pure parts, with the tensors of another one."""
  source = source or layer
  variables, state = source.tensors()
  weights = layer.effective_weights(
      variables, layer.converge_norms(variables, state))
  return layer.evaluate(weights, x, *source.context(layer.condition(x)))


@properties.check(properties.LIPSCHITZ)
def pure_parts_agree_with_the_call(subject: Subject) -> None:
  """converge_norms, effective_weights and evaluate compute what call does.

  Also if adjacent kernels have absorbed the scales of an activation; so do
  gradients.
  """
  layer, x = subject.of()
  before = [v.numpy().copy() for v in layer.variables]
  (y, actual), (y_of_call, expected) = (subjects.differentiate(
      function, layer, x, tf.cos) for function in (
          _pure, lambda layer, x: layer(x)))
  close('y', y, y_of_call, 1e-10, 1e-10)
  for name, gradient in actual.items():
    close(f'the gradient of {name}', gradient, expected[name], 1e-10, 1e-10)
  for variable, value in zip(layer.variables, before, strict=True):
    close(f'{variable.path} after calls', variable.numpy(), value)
  # Conditions are multiplied by their matrices before.
  require(len(tf.nest.flatten(layer.tensors())) + sum(
      len(part.variables) for part in layer.conditional_layers()
  ) >= len(layer.variables), 'tensors() lacks variables')


@properties.check(properties.LIPSCHITZ)
def pure_parts_know_only_the_structure(subject: Subject) -> None:
  """They compute the function of another layer, given its tensors."""
  layer, x = subject.of()
  other = subjects.Instance(subject.case.make('float64', seed=1))
  # Of a layer that a user wrote it is not known.
  require((layer.structure() == other.structure()) == (
      layer.bound_source in ('construction', lipschitz_layer.ESTIMATED)),
          'structure() is not that of layers with one function of tensors')
  actual = _pure(layer, x, other)
  close('y of another layer', actual, other(x), 1e-12, 1e-10)
  require(not subject.case.has_variables
          or np.abs(actual - layer(x)).max() > 1e-3, 'weights have no effect')


@properties.check(properties.LIPSCHITZ)
def saved_norms_change_no_result_and_need_no_step(subject: Subject) -> None:
  """save_norms changes no output, and has nothing to do the second time."""
  layer, x = subjects.Instance(subject.case.make()), subject.case.inputs()
  before = layer(x)
  layer.save_norms()
  close('y after save_norms', layer(x), before, 1e-3, 1e-3)
  for part in (layer, *layer.constrained_layers()):
    part.save_norms()
    require(int(part.save_norms()) == 0, f'{part.name} iterates again')


@properties.check(properties.LIPSCHITZ)
def shapes_are_those_that_are_stated(subject: Subject) -> None:
  """compute_output_shape and max_activation_size tell the truth."""
  layer, _ = subject.of('float32')
  (y,), shape = subject.outputs('float32'), (None, *subject.case.event_shape)
  stated, largest = (
      layer.compute_output_shape(shape), layer.max_activation_size(shape))
  # What is inside of a layer of Keras is not known.
  require(stated == (None, *y.shape[1:]) and largest in (
      0, max(largest, y[0].size)), f'y has the shape {y.shape}, stated are '
          f'{stated} and max_activation_size {largest}')


@properties.check(properties.LIPSCHITZ, properties.BIJECTION)
def kernels_exceed_their_bound(subject: Subject) -> str | None:
  """Normalisation is at work, or other checks would miss it."""
  constrained = subject.of()[0].constrained_layers()
  for part in constrained:
    before, after = (np.linalg.norm(weights[0]) for weights in (
        part.tensors()[0], part.present_weights()))
    require(before > 1.02 * after, f'the norm of the kernel of {part.name} is '
            f'{before}, and {after} when it is normalised: a larger '
            '--kernel_scale shows what normalisation does')
  return None if constrained else 'no constrained kernel: no bound to exceed'
