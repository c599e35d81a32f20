"""Flows under `compile`, `fit` and `evaluate` of Keras."""

import types
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.columns import cells
from tf_resflow.columns import rows as rows_lib
from tf_resflow.models import latent_model
from tf_resflow.models import objectives
from tf_resflow.models import train_step
from tf_resflow.specs import fields

# Of a batch of `fit`, as in Keras.
_BATCH_SIZE = 32


class TrainableModel(latent_model.LatentModel):
  """A latent model that Keras can fit.

  `compile(optimizer)` selects a loss, an `Objective`; `fit(x)` initialises the
  flow from the first batch, if need be, and takes the steps of `TrainStep`;
  `evaluate(x)` returns means of the loss with the estimators of training. `y`
  are the labels of a hybrid, or the conditions of a flow `p(x|c)`; otherwise
  there is none. Images are dequantised before, by `datasets.dequantize`.
  Callbacks, weights of examples, `.keras` files and `MirroredStrategy` are
  those of Keras. `predict` returns latents.

  A derived class can have a loss of its own: a method `compute_loss`, or
  `train_step` and `test_step`.

  Example:
    >>> flow = models.VectorFlowConfig(event_size=2, num_blocks=2).build()
    >>> flow.compile(keras.optimizers.Adam(1e-3, global_clipnorm=1.0))
    >>> sorted(flow.fit(tf.random.normal([64, 2]), verbose=0).history)
    ['loss', 'nats']
  """

  @property
  def _has_own_loss(self):
    return any(getattr(type(self), name) is not getattr(TrainableModel, name)
               for name in ('compute_loss', 'train_step', 'test_step'))

  def compile(self, optimizer: Any = 'adam', loss: Any = None, *,
              objective: str = fields.AUTO, seed: int = 0,
              jit_compile: Any = False, **options: Any) -> None:
    """Prepares for `fit`; see `keras.Model.compile` for other arguments.

    Args:
      optimizer: a Keras optimizer. Gradients are clipped by its
        `global_clipnorm`.
      loss: of a derived class with a loss of its own.
      objective: spec of an objective, see `objectives.objective_of`.
      seed: of the noise and the estimates of all steps.
      jit_compile: whether to compile steps with XLA.
      **options: such as `run_eagerly` and `steps_per_execution`.

    Raises:
      InvalidValueError: if a loss or metrics of Keras are given, or if the
        objective cannot train the flow.
    """
    super().compile(optimizer, loss, jit_compile=jit_compile, **options)
    if self._has_own_loss:
      return
    for name, value in {'loss': loss, **options}.items():
      errors.check(
          'loss' not in name and 'metrics' not in name or value is None, name,
          problem=f'cannot be used with {self.name}: its outputs are latents, '
          'which Keras would compare with targets', advice='Leave it out, or '
          'use objective=, for one of your own also a method compute_loss.')
    step = train_step.TrainStep(
        self, self.optimizer, objectives.objective_of(self, spec=objective),
        clip_norm=None, seed=seed)
    # Not tracked: a second call makes others.
    self._compiled = types.SimpleNamespace(step=step, means={
        name: keras.metrics.Mean(name)
        for name in ('loss', *step.objective.metric_names)})

  def get_compile_config(self) -> dict:
    config = super().get_compile_config()
    if not config or self._has_own_loss:
      return config
    step = self._compiled.step
    return config | {'objective': step.objective.spec(), 'seed': step.seed}

  def compile_from_config(self, config: dict) -> None:
    self.compile(**keras.saving.deserialize_keras_object(config))
    self.optimizer.build(self.trainable_variables)

  @property
  def metrics(self) -> list[Any]:
    """Metrics of Keras, means over an epoch."""
    if self._has_own_loss or not self.compiled:
      return super().metrics
    return [*self._compiled.means.values()]

  def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None,
          **options: Any) -> keras.callbacks.History:
    """Trains by Keras, see `keras.Model.fit`; `x` and `y` may be data frames.

    Raises:
      InvalidValueError: if the data do not suit the flow, or it trains on
        several hosts.
    """
    if self._has_own_loss:
      return super().fit(x, y, batch_size, **options)
    strategy = self.distribute_strategy
    errors.check(self.compiled, 'fit', problem='needs an optimizer',
                 advice='Call compile(optimizer) before.')
    errors.check(
        not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy),
        'fit', problem='cannot be used with several hosts',
        advice='Use tf_resflow train --strategy=multi_worker.')
    weight, validation = map(options.pop, (
        'sample_weight', 'validation_data'), (None, None))
    x, y, weight = self._arrays(x, y, weight)
    if cells.is_frame(validation):
      validation = (validation,)
    if isinstance(validation, tuple):
      validation = self._arrays(*validation)
      self._check(*validation[:2])
    self._check(x, y)
    if not self.is_initialized:
      first = self._examples(*_first(x, y, batch_size or _BATCH_SIZE))
      with strategy.scope():
        self.initialize(*first, seed=self._compiled.step.seed)
        self.fit_base(
            *(self._examples(x, y) if hasattr(x, 'shape') else first))
    self.save_norms()  # The steps follow these.
    self.run = None  # Whose weights these will not be.
    history = super().fit(x, y, batch_size, sample_weight=weight,
                          validation_data=validation, **options)
    self.save_norms()  # Searched after some steps alone.
    return history

  def evaluate(self, x: Any = None, y: Any = None,
               batch_size: int | None = None, *args: Any,
               sample_weight: Any = None, **options: Any) -> Any:
    """Evaluates by Keras, see `keras.Model.evaluate` and `fit`."""
    x, y, sample_weight = self._arrays(x, y, sample_weight)
    return super().evaluate(
        x, y, batch_size, *args, sample_weight=sample_weight, **options)

  def _arrays(self, x, y=None, weight=None):
    """Returns data frames as arrays, others as they are."""
    if cells.is_frame(x) or cells.is_frame(y):
      x, y = rows_lib.arrays(self.schema, x, y)
      errors.check(
          not any(np.isnan(value).any() for value in (x, y)
                  if value is not None), 'x', 'rows with empty cells',
          'complete rows')
    if weight is not None and y is None:  # Keras would drop the weights.
      y = np.empty([len(x), 0])
    return x, y, weight

  def _check(self, x, y):
    """Raises for data that do not suit the flow, before Keras traces."""
    if not hasattr(x, 'shape') or hasattr(x, 'element_spec'):
      return  # What its first batch is, is known later.
    y = self._targets(y)
    for name, values in ('x', x), ('y', y):
      values = np.asarray(0 if values is None else values)
      wrong = values.dtype.kind == 'f' and np.sum(~np.isfinite(values))
      errors.check(not wrong, name, f'{wrong} values that are not finite',
                   'finite numbers')
    condition = self._examples(x[:1], y if y is None else y[:1])[1]
    self._checked('x', x[:1], self.event_shape, condition)
    if (spec := self.condition_spec) is not None:
      spec.convert(condition, self.compute_dtype)
      errors.check(len(y.shape) == 1 + len(spec.shape), 'y',
                   f'conditions {list(y.shape)}', spec.expected)
    if self.is_image:
      errors.check(
          0.0 <= np.min(x) and np.max(x) <= 1.0, 'x',
          f'values from {np.min(x):g} to {np.max(x):g}', 'values in [0, 1]',
          'datasets.dequantize turns levels into these.')

  def _targets(self, y):
    """Returns labels or conditions; None if there are none, or raises."""
    if y is not None and 0 in y.shape[1:]:
      y = None  # Stands beside weights, see `_arrays`.
    takes = [self.has_classifier, self.condition_spec is not None]
    errors.check(
        (y is not None) == any(takes) and not all(takes), 'y',
        'none' if y is None else 'targets', 'labels' if takes[0] else
        'conditions' if takes[1] else 'none', f'{self.name} has '
        f'{"" if takes[0] else "no "}classifier and takes '
        f'{"" if takes[1] else "no "}conditions.')
    return y

  def _examples(self, x, y):
    """Returns data and conditions."""
    return x, None if self.condition_spec is None else y

  def _batch(self, data, shares=False):
    """Returns the `Batch` of what Keras hands over.

    With `shares` of several replicas, whose parts may differ in size or be
    empty, the mean over replicas is that of all examples.
    """
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    y, labels = self._targets(y), None
    if self.has_classifier:
      y, labels = None, tf.cast(tf.reshape(y, [-1]), tf.int32)
    context: Any = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
      size = tf.cast(tf.shape(x)[:1], self.compute_dtype)
      share = size * context.num_replicas_in_sync / context.all_reduce(
          tf.distribute.ReduceOp.SUM, size) if shares else tf.ones_like(size)
      weight = share * (tf.ones(tf.shape(x)[:1], share.dtype) if (
          weight is None) else tf.cast(weight, share.dtype))
    return objectives.Batch(tf.cast(x, self.input_dtype), labels, y, weight)

  def _logged(self, batch, values):
    """Returns means of metrics, of this batch, too."""
    compiled = self._compiled
    loss = compiled.step.objective.loss_of(values, self.event_size)
    for name, mean in compiled.means.items():
      mean.update_state({'loss': loss, **values}[name],
                        sample_weight=tf.shape(batch.x)[0])
    return self.get_metrics_result()

  def train_step(self, data: Any) -> dict:
    if self._has_own_loss:
      return super().train_step(data)
    batch = self._batch(data, shares=True)
    return self._logged(batch, self._compiled.step(
        batch, self.optimizer.iterations.value))

  def test_step(self, data: Any) -> dict:
    if self._has_own_loss:
      return super().test_step(data)
    batch, step = self._batch(data), self._compiled.step
    return self._logged(batch, step.objective(self, batch, step.seed)[1])


def _first(x, y, batch_size):
  """Returns `x` and `y` of the first batch."""
  if isinstance(x, tf.data.Dataset):
    x, y, _ = keras.utils.unpack_x_y_sample_weight(next(iter(x)))
  elif isinstance(x, keras.utils.PyDataset):
    x, y, _ = keras.utils.unpack_x_y_sample_weight(x[0])
  else:
    errors.check(
        hasattr(x, 'shape'), 'x', type(x).__name__, 'an array or a data set',
        'Or call initialize(batch) before.')
    x, y = (value if value is None else value[:batch_size] for value in (x, y))
  return x, y
