"""The base class of served flows."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.numerics import parallel

# Share of the largest batch: a server answers several requests at once.
_SHARE_OF_BATCH = 1 / 16


class ServedFlow:
  """A flow with methods for clients, which check their inputs.

  A subclass defines the format of the data, and the methods that `export` turns
  into signatures. Random draws are functions of the seed and of the position of
  an example in its batch. The results of an example do not depend on the other
  examples, up to rounding.

  Args:
    model: an initialised flow.
    estimator: of the log-determinant in `log_prob`, or its spec: one whose
      estimate of an example does not depend on its batch, such as
      `Estimator.per_example` returns. By default that of
      `Flow.evaluation_estimator`, for integers with their noise.
    max_samples: most samples of one request, which limits its memory.

  Raises:
    InvalidValueError: if the model is not initialised, `max_samples` is not
      positive, or the estimator lets the examples of a batch depend on each
      other.
  """

  # Of subclasses: from tensors of a request to events of the model, and back.
  _events: Callable[..., tf.Tensor]
  _data: Callable[..., dict[str, tf.Tensor]]

  def __init__(self, model: models.Flow,
               estimator: layers.EstimatorLike = None,
               max_samples: int = 4096):
    self.model = model
    self._dtype = tf.as_dtype(model.compute_dtype)
    data_specs = self.data_specs()  # Or an error about the model.
    estimator = numerics.Estimator.get(estimator) or model.evaluation_estimator(
        dequantizes=True).per_example()
    errors.check(1 <= max_samples < 2**31, 'max_samples', max_samples,
                 'a number from 1 to 2147483647')
    errors.check(not estimator.batch_dependent, 'estimator', estimator,
                 'an estimator with batch_dependent=False',
                 'Results would depend on the other examples of a batch.')
    errors.check(
        model.is_initialized, 'model', model.name, 'an initialised model',
        'The first request would initialise it: train the model, load a '
        'checkpoint or call model.initialize(x).')
    self.estimator = estimator
    self.max_samples = max_samples
    self._specs = {spec.name: spec for spec in (
        *data_specs,
        tf.TensorSpec([None, model.latent_size], self._dtype, 'latents'),
        tf.TensorSpec([2], tf.int32, 'seed'),
        tf.TensorSpec([], tf.int32, 'num_samples'),
        tf.TensorSpec([], tf.float32, 'temperature'))}
    if model.condition_spec is not None:
      self._specs['condition'] = model.condition_spec.tensor_spec(self._dtype)

  def _signature(
      self, method: Callable, names: Sequence[str],
      keywords: Sequence[str] = ()) -> tuple[Callable, list[tf.TensorSpec]]:
    """Returns a method as a function of tensors, and their specs.

    The last one is the condition, if the flow is conditional.
    """
    if self.model.condition_spec is not None:
      keywords = [*keywords, 'condition']

    def call(*tensors):
      return method(*tensors[:len(names)], **dict(zip(
          keywords, tensors[len(names):], strict=True)))

    return call, [self._specs[name] for name in (*names, *keywords)]

  def data_specs(self) -> list[tf.TensorSpec]:
    """Returns the specs of the data in a request."""
    raise NotImplementedError

  def signatures(self) -> dict[str, tuple[Callable, list[tf.TensorSpec]]]:
    """Returns functions by name, with the specs of their arguments."""
    data = tuple(spec.name for spec in self.data_specs())
    # Integers are dequantised with noise.
    is_drawn = (
        self.model.num_levels or self.model.is_random_with(self.estimator))
    augmented = data, ['seed'] if self.model.augmentation.is_random else []
    inputs = {
        'log_prob': (data, ['seed'] if is_drawn else []),
        'sample': (['num_samples'], ['seed', 'temperature']),
        'encode': augmented,
        'decode': (['latents'],)}
    if self.model.has_classifier:
      inputs['classify'] = augmented
    return {name: self._signature(getattr(self, name), *names)
            for name, names in inputs.items()}

  def sample(
      self, num_samples: tf.Tensor, condition: tf.Tensor | None = None, *,
      seed: tf.Tensor, temperature: tf.Tensor = 1.0) -> dict[str, tf.Tensor]:
    """Draws samples.

    Args:
      num_samples: int32 scalar, 1 to `max_samples`.
      condition: of a flow p(x|c), `[num_samples, ...]`, or `[1, ...]` for all:
        int32 labels, or numbers.
      seed: int32 `[2]`.
      temperature: float32 scalar, see `Flow.draw_latents`.

    Returns:
      Data of the model, by the names of `data_specs()`: `[num_samples, ...]`.

    Raises:
      tf.errors.InvalidArgumentError: if an inverse does not converge.
    """
    num_samples = self._checked('num_samples', num_samples)
    num_samples = require(
        (num_samples >= 1) & (num_samples <= self.max_samples), num_samples,
        ['num_samples is', num_samples, f'; expected 1 to {self.max_samples}.'])
    temperature = self._checked('temperature', temperature)
    temperature = require(
        (temperature >= 0.0) & tf.math.is_finite(temperature), temperature,
        ['temperature is', temperature, '; expected a finite number, 0 or '
         'more: 1 samples the model, less reduces variation.'])
    return self._data(self.model.sample(
        num_samples, self._checked_condition(condition, num_samples),
        seed=self._checked('seed', seed),
        temperature=tf.cast(temperature, self._dtype)))

  def encode(self, *data: tf.Tensor, condition: tf.Tensor | None = None,
             seed: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
    """Maps data, images at the centres of their bins, to latents.

    Args:
      *data: see `data_specs()`.
      condition: see `sample`; `[B, ...]`.
      seed: int32 `[2]`, if the augmentation of the model is random.

    Returns:
      `latents`: `[B, D]`; they follow the base distribution, by default a
      standard normal, for data of the model. `D` counts noise channels as well.
    """
    x = self._events(*data)
    return {'latents': self.model.encode(
        x, self._checked_condition(condition, tf.shape(x)[0]),
        seed=self._augmentation_seed(seed))}

  def decode(self, latents: tf.Tensor, condition: tf.Tensor | None = None,
             ) -> dict[str, tf.Tensor]:
    """Maps latents to data: `decode(encode(data))` returns `data`.

    Args:
      latents: `[B, D]`.
      condition: see `sample`; `[B, ...]`.

    Returns:
      `[B, ...]`, see `sample`, which also has the errors.
    """
    latents = self._checked_batch('latents', latents)
    latents = require(
        tf.reduce_all(tf.math.is_finite(latents)), latents,
        ['latents contains NaN or infinity; expected the outputs of the '
         'signature encode, or draws from the base distribution.'])
    return self._data(self.model.inverse(
        latents, self._checked_condition(condition, tf.shape(latents)[0])))

  def _augmentation_seed(self, seed):
    """Returns the seed of a random augmentation; None without one."""
    if not self.model.augmentation.is_random:
      return None
    errors.check(seed is not None, 'seed', None, 'two integers',
                 'The augmentation of this model is random.')
    return self._checked('seed', seed)

  def _checked_condition(self, condition, size):
    """Returns conditions for a batch of a size; the model checks the values."""
    if condition is None or 'condition' not in self._specs:
      return condition  # Valid, or refused by the model.
    condition = self._checked('condition', condition)
    given = tf.shape(condition)[0]
    condition = require(
        (given == size) | (given == 1), condition,
        ['condition has', given, 'rows; expected', size, 'or 1 for all.'])
    return tf.broadcast_to(condition, [size, *condition.shape[1:]])

  def _log_prob(self, x, seed, condition):
    condition = self._checked_condition(condition, tf.shape(x)[0])
    largest = self.estimator.max_batch_size(
        self.model.latent_size, self._dtype) if self.model.is_random else None
    if largest is None or self.estimator.is_random:
      return self.model.log_prob(
          x, condition, seed=seed, estimator=self.estimator)
    num_points = self.model.augmentation.num_points
    function: Callable = self.model.log_prob
    log_weight = 0.0
    if not num_points:
      # Noise is drawn for the whole batch: chunks would share their noise.
      function = self.model.joint_log_prob
      x, log_weight = self.model.augment(
          x, condition, seed=seed, estimator=self.estimator)
    return tf.cast(log_weight, self._dtype) + parallel.map_in_chunks(
        lambda *given: ([function(*given, estimator=self.estimator)], []),
        max(1, int(_SHARE_OF_BATCH * largest) // max(1, num_points)),
        [x] if condition is None else [x, condition],
        outputs_like=[tf.TensorSpec([None], self._dtype)],
        unknown_sizes=True)[0][0]

  def _checked(self, name, value):
    """Returns a value as a tensor of the dtype and shape of its `TensorSpec`.

    A server does not compare shapes with the specs of a signature.
    """
    spec, tensor = self._specs[name], tf.convert_to_tensor(value)
    errors.check(
        tensor.dtype == spec.dtype, name, f'a tensor {tensor.dtype.name}',
        f'{spec.dtype.name} {spec.shape}')
    # Checked when the graph runs; the message names the tensor.
    return tf.ensure_shape(tensor, spec.shape)

  def _checked_batch(self, name, value):
    """Returns a nonempty batch: oneDNN's convolutions fail on empty ones."""
    tensor = self._checked(name, value)
    return require(tf.shape(tensor)[0] >= 1, tensor,
                   [f'{name} is an empty batch; expected 1 or more.'])


def require(condition: tf.Tensor, tensor: tf.Tensor,
            message: Sequence[Any]) -> tf.Tensor:
  """Returns `tensor`, behind an assertion with the parts of a message.

  TensorFlow Serving returns the error of one that fails to the client.
  """
  with tf.control_dependencies([tf.debugging.Assert(condition, message)]):
    return tf.identity(tensor)
