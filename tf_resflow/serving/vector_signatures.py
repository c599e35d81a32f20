"""A flow on vectors, as clients send and receive them."""

from collections.abc import Sequence
import itertools
import keyword
import re

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.serving import served_flow

# What else signatures take and return.
_TAKEN = ('seed', 'num_samples', 'temperature', 'latents', 'log_prob')


def tensor_names(
    names: Sequence[str], taken: Sequence[str] = _TAKEN) -> tuple[str, ...]:
  """Returns names of tensors for columns, such as TensorFlow takes.

  `_` stands for other characters than letters and digits, `c_` comes before a
  name that begins with none of these or is a word of Python, and numbers behind
  names that are taken, whether their letters are large or small.

  Args:
    names: of the columns, each another.
    taken: names that are no columns.

  Example:
    >>> tensor_names(['mean radius', 'area (mm2)', 'class', 'X', 'x', 'seed'])
    ('mean_radius', 'area__mm2_', 'c_class', 'X', 'x_2', 'seed_2')
  """
  tensors, taken = [], set(taken)
  for name in names:
    stem = re.sub('[^A-Za-z0-9_]', '_', name)
    if not stem[0].isalpha() or keyword.iskeyword(stem) or stem == 'self':
      stem = f'c_{stem}'
    free = (f'{stem}_{i}' if i > 1 else stem for i in itertools.count(1))
    tensors.append(next(n for n in free if n.lower() not in taken))
    taken.add(tensors[-1].lower())
  return tuple(tensors)


def tensors_of_columns(model: models.Flow) -> dict[str, str]:
  """Returns the names of the tensors of a table, by those of its columns.

  Args:
    model: any flow; empty for one that is not of a table. Columns that are
      conditions are those of one tensor, `condition`.
  """
  names = model.column_names or ()
  columns = dict(zip(names, tensor_names(names, _taken(model)), strict=True))
  spec = model.condition_spec
  return columns | {
      name: f'condition[:, {i}]' for i, name in enumerate(
          () if spec is None else spec.names)}


def _taken(model):
  """Returns what the signatures of a model take beside its data."""
  return _TAKEN if model.condition_spec is None else (*_TAKEN, 'condition')


class VectorSignatures(served_flow.ServedFlow):
  """What a server answers: a flow on vectors, in the units of the data.

  Requests and replies have one tensor `[B]` for every column of a table, under
  its name, see `tensor_names`; vectors without names are one tensor `x`
  `[B, D]`. `log_prob` takes a seed where log-determinants are estimated.

  Args:
    model: an initialised flow on vectors.
    estimator: see `ServedFlow`.
    max_samples: see `ServedFlow`.
    names: of the columns of a table, by default those of the model.

  Raises:
    InvalidValueError: see `ServedFlow`, and for a model of images.

  Example:
    >>> model = models.VectorFlowConfig(
    ...     event_size=2, num_blocks=1, column_names=('size', 'mass')).build()
    >>> model.initialize(tf.random.stateless_normal([8, 2], [0, 0]))
    >>> served = VectorSignatures(model, numerics.Exact())
    >>> served.encode(tf.zeros([3]), tf.ones([3]))['latents'].shape
    TensorShape([3, 2])
  """

  def __init__(self, model: models.Flow, estimator: numerics.Estimator,
               max_samples: int = 4096,
               names: Sequence[str] | None = None):
    errors.check(
        model.num_levels is None and len(model.event_shape) == 1, 'model',
        model.name, 'a flow on vectors',
        'Flows on images are served as IntegerFlow.')
    names = model.column_names if names is None else names
    # The names of the inputs, and of the outputs.
    self.names = tensor_names(names, _taken(model)) or ('x',)
    self._is_table = bool(names)
    super().__init__(model, estimator, max_samples)

  def data_specs(self) -> list[tf.TensorSpec]:
    shape = [None] if self._is_table else [None, *self.model.event_shape]
    return [tf.TensorSpec(shape, self._dtype, name) for name in self.names]

  def log_prob(
      self, *inputs: tf.Tensor, condition: tf.Tensor | None = None,
  ) -> dict[str, tf.Tensor]:
    """Returns the log-density of vectors, or estimates it.

    Args:
      *inputs: the data, then int32 `[2]`, a seed, where something is drawn.
      condition: see `IntegerFlow.log_prob`; numbers in the order of the columns
        that are conditions, in their units.

    Returns:
      `log_prob`: `[B]`, nats, of the density in the units of the data.
    """
    data, rest = inputs[:len(self.names)], inputs[len(self.names):]
    seed = self._checked('seed', rest[0]) if rest else None
    return {'log_prob': self._log_prob(
        self._vectors(data), seed, condition)}

  def encode(self, *data: tf.Tensor, condition: tf.Tensor | None = None,
             ) -> dict[str, tf.Tensor]:
    """Returns `latents` `[B, D]`; standard normal for data of the model."""
    return self._encode(self._vectors(data), None, condition)

  def _vectors(self, data):
    """Returns vectors `[B, D]` of what a request holds."""
    tensors = [self._checked_batch(name, value)
               for name, value in zip(self.names, data, strict=True)]
    x = tf.stack(tensors, axis=1) if self._is_table else tensors[0]
    return served_flow.require(
        tf.reduce_all(tf.math.is_finite(x)), x,
        ['The data have numbers that are not finite; expected numbers in the '
         'units of the data set.'])

  def _data(self, x):
    """Returns what a reply holds of vectors `[B, D]`."""
    columns = tf.unstack(x, axis=1) if self._is_table else [x]
    return dict(zip(self.names, columns, strict=True))
