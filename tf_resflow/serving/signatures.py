"""The signatures of served flows on integer images and on vectors."""

from collections.abc import Sequence
import functools
import itertools
import keyword
import re
from typing import Any

import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.numerics import random
from tf_resflow.serving import served_flow

# Names of other inputs and outputs of signatures.
_TAKEN = ('seed', 'num_samples', 'temperature', 'latents', 'log_prob')


class IntegerFlow(served_flow.ServedFlow):
  """The signatures of a flow on images, whose pixels are integers.

  Images are uint8 `[B, H, W, C]` with the levels `X` in {0, ..., n - 1} of the
  data set (`n = model.num_levels`), in requests and in replies. The model sees

    x = (X + U) / n,   U uniform on [0, 1) for `log_prob`, U = 1/2 elsewhere,

  and `X = floor(n x)` inverts this. If the model's augmentation draws noise, so
  do `encode` and `classify`, which then take a seed. Methods return dicts,
  named like the outputs of the signatures that `export` makes of them; they
  work eagerly and in a `tf.function`.

  The model must have `num_levels`; see `ServedFlow` for the arguments.

  Example:
    >>> model = models.ResidualFlowConfig(
    ...     image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,),
    ...     hidden_channels=4, num_dense_blocks=0).build()
    >>> model.initialize(tf.random.stateless_uniform([8, 4, 4, 1], [0, 0]))
    >>> flow = IntegerFlow(model)
    >>> images = flow.sample(4, seed=[0, 1])['images']
    >>> flow.log_prob(images, seed=[0, 2])['bits_per_dim'].shape
    TensorShape([4])

  References:
    Theis, van den Oord and Bethge, 2016, Section 3.1 (uniform noise).
  """

  def data_specs(self) -> list[tf.TensorSpec]:
    errors.check(
        self.model.is_image, 'num_levels', None, 'a number >= 2',
        'Flows on vectors are served as VectorSignatures.')
    return [tf.TensorSpec([None, *self.model.event_shape], tf.uint8, 'images')]

  def log_prob(
      self, images: tf.Tensor, condition: tf.Tensor | None = None, *,
      seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Estimates the log-likelihood of images, uint8 `[B, H, W, C]`.

    One draw of noise, probes and number of terms; unbiased for
    `E_U log p((X + U) / n)`, a lower bound of `log P(X) + D log n`, or for a
    bound of that if the model's augmentation is random. Average over seeds for
    a lower variance. `condition` and `seed` are those of `sample`.

    Returns:
      `log_prob`: `[B]`, nats, of the density of `x` on [0, 1)^D;
      `bits_per_dim`: `[B]`, `-(log_prob - D log n) / (D log 2)`.
    """
    images = self._checked_images(images)
    seed = self._checked('seed', seed)
    noise = tf.random.stateless_uniform(
        tf.shape(images), random.fold_in(seed, 0).values)
    log_prob = self._log_prob(
        self._dequantize(images, noise), random.fold_in(seed, 1), condition)
    return {'log_prob': log_prob,
            'bits_per_dim': self.model.bits_per_dim_of(log_prob)}

  def classify(
      self, images: tf.Tensor, condition: tf.Tensor | None = None, *,
      seed: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
    """Classifies images, at the centres of their bins, with a hybrid model.

    Arguments are those of `log_prob`; the seed is needed as in `encode`.

    Returns:
      `logits`, `probabilities`: `[B, num_classes]`.
    """
    x = self._events(images)
    logits = self.model.classify(
        x, self._checked_condition(condition, tf.shape(x)[0]),
        seed=self._augmentation_seed(seed))
    return {'logits': logits, 'probabilities': tf.nn.softmax(logits)}

  def _events(self, images):
    """Returns the centres of the bins of images."""
    return self._dequantize(self._checked_images(images), 0.5)

  def _checked_images(self, images):
    images = self._checked_batch('images', images)
    if self.model.num_levels == 256:
      return images  # Any uint8 is a level.
    largest = tf.reduce_max(images)
    return served_flow.require(
        largest < self.model.num_levels, images,
        ['images has the level', largest, '; expected levels 0 to '
         f'{self.model.num_levels - 1}, as in the data set (not scaled to 0 to '
         '255).'])

  def _dequantize(self, images, noise):
    return tf.cast(
        datasets.dequantize(images, noise, self.model.num_levels), self._dtype)

  def _data(self, x):
    return {'images': datasets.quantize(
        tf.cast(x, tf.float32), self.model.num_levels)}


def tensor_names(
    names: Sequence[str], taken: Sequence[str] = _TAKEN) -> tuple[str, ...]:
  """Returns valid TensorFlow names for columns.

  `_` replaces all characters but letters and digits, the prefix `c_` comes
  before a name that does not begin with a letter or is a Python keyword, and a
  number follows a name that another column has or is `taken`, ignoring case.

  Example:
    >>> tensor_names(['mean radius', 'area (mm2)', 'class', 'X', 'x', 'seed'])
    ('mean_radius', 'area__mm2_', 'c_class', 'X', 'x_2', 'seed_2')
  """
  tensors: list[str] = []
  used = set(taken)
  for name in names:
    stem = re.sub('[^A-Za-z0-9_]', '_', name)
    if not stem[0].isalpha() or keyword.iskeyword(stem) or stem == 'self':
      stem = f'c_{stem}'
    free = (f'{stem}_{i}' if i > 1 else stem for i in itertools.count(1))
    tensors.append(next(n for n in free if n.lower() not in used))
    used.add(tensors[-1].lower())
  return tuple(tensors)


def tensors_of_columns(
    model: models.Flow, conditions: bool = True) -> dict[str, str]:
  """Returns a dict from the columns of a table to the names of their tensors.

  It is empty if the data of the flow are not a table. Columns that are
  `conditions` belong to one tensor, `condition`.
  """
  schema = model.schema
  if not schema.is_named:
    return {}
  taken = _TAKEN if model.condition_spec is None else (*_TAKEN, 'condition')
  labels = [label for column in schema.conditions for label in column.labels
            if conditions]
  return dict(zip(
      schema.names, tensor_names(schema.names, taken), strict=True)) | {
          label: f'condition[:, {i}]' for i, label in enumerate(labels)}


class VectorSignatures(served_flow.ServedFlow):
  """The signatures of a flow on vectors, in the units of the data.

  Requests and replies have one tensor `[B]` for every column of a table, under
  its name, see `tensor_names`; vectors without names are one tensor `x`
  `[B, D]`. `log_prob` takes a seed where log-determinants are estimated. The
  results of a vector with NaN or infinity are NaN; it harms no other one.

  Args:
    model, estimator, max_samples: see `ServedFlow`.

  Example:
    >>> model = models.VectorFlowConfig(
    ...     event_size=2, num_blocks=1, schema={
    ...         'columns': [{'name': 'size'}, {'name': 'mass'}]}).build()
    >>> model.initialize(tf.random.stateless_normal([8, 2], [0, 0]))
    >>> served = VectorSignatures(model)
    >>> served.encode(tf.zeros([3]), tf.ones([3]))['latents'].shape
    TensorShape([3, 2])
  """

  def data_specs(self) -> list[tf.TensorSpec]:
    model = self.model
    errors.check(
        not model.is_image and len(model.event_shape) == 1, 'model',
        model.name, 'a flow on vectors',
        'Flows on images are served as IntegerFlow.')
    shape = [None] if model.schema.is_named else [None, *model.event_shape]
    return [tf.TensorSpec(shape, tf.as_dtype(model.input_dtype), name)
            for name in self.names]

  @functools.cached_property
  def names(self) -> tuple[str, ...]:
    """The names of the inputs, and of the outputs."""
    return tuple(tensors_of_columns(self.model, False).values()) or ('x',)

  def log_prob(
      self, *data: tf.Tensor, condition: tf.Tensor | None = None,
      seed: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
    """Returns the log-density of vectors, or estimates it.

    Args:
      *data: see `data_specs()`.
      condition: see `sample`; numbers in the order of the columns that are
        conditions, in their units.
      seed: int32 `[2]`, if the log-density is random.

    Returns:
      `log_prob`: `[B]`, nats, of the density in the units of the data.
    """
    return self._marked({'log_prob': self._log_prob(
        self._events(*data),
        None if seed is None else self._checked('seed', seed), condition)
    }, data)

  def encode(self, *data: tf.Tensor, **options: Any) -> dict[str, tf.Tensor]:
    """See `ServedFlow.encode`."""
    return self._marked(super().encode(*data, **options), data)

  def _events(self, *data):
    x = self._vectors(data)
    return tf.where(tf.math.is_finite(x), x, tf.zeros_like(x))

  def _marked(self, outputs, data):
    """Returns outputs with NaN for vectors with NaN or infinity."""
    is_bad = tf.reduce_any(~tf.math.is_finite(self._vectors(data)), axis=1)
    return {name: tf.where(
        tf.reshape(is_bad, [-1, *[1] * (value.shape.rank - 1)]),
        tf.constant(float('nan'), value.dtype), value)
            for name, value in outputs.items()}

  def _vectors(self, data):
    tensors = [self._checked_batch(name, value)
               for name, value in zip(self.names, data, strict=True)]
    is_table = self.model.schema.is_named
    return tf.stack(tensors, axis=1) if is_table else tensors[0]

  def _data(self, x):
    columns = tf.unstack(x, axis=1) if self.model.schema.is_named else [x]
    return dict(zip(self.names, columns, strict=True))
