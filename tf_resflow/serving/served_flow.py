"""What all flows have in common that are served."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.numerics import parallel

# Of what fits at a time: a server answers several requests at once.
_SHARE_OF_BATCH = 1 / 16


class ServedFlow:
  """A flow as clients see it: what they send and receive, checked.

  A kind says what data look like, and has the methods of which `export` makes
  signatures. Draws are functions of the seed and of the place of an example in
  its batch. What an example gets does not depend on the others, up to rounding.

  Args:
    model: an initialised flow.
    estimator: of the log-determinant in `log_prob`, or its spec: one whose
      estimate of an example does not depend on its batch, such as
      `Estimator.per_example` returns. By default that of
      `Flow.evaluation_estimator`, for integers with their noise.
    max_samples: most samples of one request: a few bytes could ask for more
      than there is memory.

  Raises:
    InvalidValueError: if the model is not initialised, `max_samples` is not
      positive, or the estimator lets the examples of a batch depend on each
      other.
  """

  def __init__(self, model: models.Flow,
               estimator: layers.EstimatorLike = None,
               max_samples: int = 4096):
    estimator = numerics.Estimator.get(estimator) or model.evaluation_estimator(
        dequantizes=True).per_example()
    errors.check(1 <= max_samples < 2**31, 'max_samples', max_samples,
                 'a number from 1 to 2147483647')
    errors.check(not estimator.batch_dependent, 'estimator', estimator,
                 'one with batch_dependent=False',
                 'An image would depend on the other images of its batch.')
    errors.check(
        model.is_initialized, 'model', model.name, 'an initialised one',
        'The first request would initialise it: train the model, load a '
        'checkpoint or call model.initialize(x).')
    self.model = model
    self.estimator = estimator
    self.max_samples = max_samples
    self._dtype = tf.as_dtype(model.compute_dtype)
    self._specs = {spec.name: spec for spec in (
        *self.data_specs(),
        tf.TensorSpec([None, model.latent_size], self._dtype, 'latents'),
        tf.TensorSpec([2], tf.int32, 'seed'),
        tf.TensorSpec([], tf.int32, 'num_samples'),
        tf.TensorSpec([], tf.float32, 'temperature'))}
    if model.condition_spec is not None:
      self._specs['condition'] = model.condition_spec.tensor_spec(self._dtype)

  def _signature(
      self, method: Callable, names: Sequence[str],
      keywords: Sequence[str] = ()) -> tuple[Callable, list[tf.TensorSpec]]:
    """Returns a function of tensors, and their specs.

    Behind the others comes the condition, of a flow p(x|c).

    Args:
      method: of this flow.
      names: of what it takes by place.
      keywords: of what it takes by name.
    """
    keywords = [
        *keywords, *['condition'] * (self.model.condition_spec is not None)]

    def call(*tensors):
      return method(*tensors[:len(names)], **dict(zip(
          keywords, tensors[len(names):], strict=True)))

    return call, [self._specs[name] for name in (*names, *keywords)]

  def data_specs(self) -> list[tf.TensorSpec]:
    """Returns what the data of a request look like."""
    raise NotImplementedError

  def signatures(self) -> dict[str, tuple[Callable, list[tf.TensorSpec]]]:
    """Returns, by name, a function and the specs of what it takes."""
    data = tuple(spec.name for spec in self.data_specs())
    # Noise fills the bins of integers.
    is_drawn = (
        self.model.num_levels or self.model.is_random_with(self.estimator))
    augmented = data, ['seed'] * self.model.augmentation.is_random
    inputs = {
        'log_prob': (data, ['seed'] * bool(is_drawn)),
        'sample': (['num_samples'], ['seed', 'temperature']),
        'encode': augmented,
        'decode': (['latents'],),
        **({'classify': augmented} if self.model.has_classifier else {})}
    return {name: self._signature(getattr(self, name), *names)
            for name, names in inputs.items()}

  def sample(
      self, num_samples: tf.Tensor, condition: tf.Tensor | None = None, *,
      seed: tf.Tensor, temperature: tf.Tensor = 1.0) -> dict[str, tf.Tensor]:
    """Draws data.

    Args:
      num_samples: int32 scalar, 1 to `max_samples`.
      condition: of a flow p(x|c), `[num_samples, ...]`, or `[1, ...]` for all:
        int32 labels, or numbers.
      seed: int32 `[2]`.
      temperature: float32 scalar, standard deviation of the latents.

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
         'more: 1 samples the model, less varies less.'])
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
      seed: int32 `[2]`, where the augmentation of the model draws.

    Returns:
      `latents`: `[B, D]`; standard normal for data of the model. `D` counts
      noise channels as well.
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
      Data of the model, by the names of `data_specs()`: `[B, ...]`.

    Raises:
      tf.errors.InvalidArgumentError: if an inverse does not converge.
    """
    latents = self._checked_batch('latents', latents)
    latents = require(
        tf.reduce_all(tf.math.is_finite(latents)), latents,
        ['latents has numbers that are not finite; expected those of the '
         'signature encode, or standard normal ones.'])
    return self._data(self.model.inverse(
        latents, self._checked_condition(condition, tf.shape(latents)[0])))

  def _augmentation_seed(self, seed):
    """Returns the seed of an augmentation that draws; None without one."""
    if not self.model.augmentation.is_random:
      return None
    errors.check(seed is not None, 'seed', None, 'two whole numbers',
                 'The augmentation of this model draws noise.')
    return self._checked('seed', seed)

  def _checked_condition(self, condition, size):
    """Returns conditions for a batch of a size; the model checks the values."""
    if condition is None or 'condition' not in self._specs:
      return condition  # Right, or refused by the model.
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
    # What is drawn is drawn for the whole batch: chunks would draw alike.
    y, log_weight = self.model.augment(x, condition, seed=seed)
    conditions = [] if condition is None else [condition]
    return log_weight + parallel.map_in_chunks(
        lambda y, *condition: ([self.model.joint_log_prob(
            y, *condition, estimator=self.estimator)], []),
        max(1, int(_SHARE_OF_BATCH * largest)), [y, *conditions],
        outputs_like=[tf.TensorSpec([None], y.dtype)],
        unknown_sizes=True)[0][0]

  def _checked(self, name, value):
    """Returns a value as a tensor of the dtype and shape of its `TensorSpec`.

    A server does not compare shapes with those of a signature.
    """
    spec, tensor = self._specs[name], tf.convert_to_tensor(value)
    errors.check(
        tensor.dtype == spec.dtype, name, f'a tensor {tensor.dtype.name}',
        f'{spec.dtype.name} {spec.shape}')
    # When the graph runs; the message names the tensor.
    return tf.ensure_shape(tensor, spec.shape)

  def _checked_batch(self, name, value):
    """One image or more: oneDNN's convolutions fail on an empty batch."""
    tensor = self._checked(name, value)
    return require(tf.shape(tensor)[0] >= 1, tensor,
                   [f'{name} is an empty batch; expected 1 or more.'])


def require(condition: tf.Tensor, tensor: tf.Tensor,
            message: Sequence[Any]) -> tf.Tensor:
  """Returns `tensor`, behind an assertion with the parts of a message.

  One that fails is a `tf.errors.InvalidArgumentError`, which TensorFlow Serving
  returns to the client.
  """
  with tf.control_dependencies([tf.debugging.Assert(condition, message)]):
    return tf.identity(tensor)
