"""Base class of Keras models that map data to latents."""

from typing import Any

import keras

from tf_resflow import errors


class LatentModel(keras.Model):
  """A Keras model whose outputs are latents, which no target is compared with.

  `fit` and `evaluate` of Keras pass outputs to a compiled loss: they would
  train latents to equal the targets. A derived class that defines
  `compute_loss`, or `train_step` and `test_step`, can be fitted; `predict`
  returns latents.

  Example:
    >>> class Trainable(models.Flow):
    ...   def compute_loss(self, x, *unused_arguments):
    ...     return -tf.reduce_mean(self.log_prob(x))
    >>> flow = Trainable(layers.ActNorm(), (2,))
    >>> flow.compile('adam')
    >>> sorted(flow.fit(tf.ones([4, 2]), verbose=0).history)
    ['loss']
  """

  def train_step(self, data: Any) -> dict:
    self._check_has_own_loss('fit')
    return super().train_step(data)

  def test_step(self, data: Any) -> dict:
    self._check_has_own_loss('evaluate')
    return super().test_step(data)

  def _check_has_own_loss(self, method):
    errors.check(
        type(self).compute_loss is not keras.Model.compute_loss, method,
        problem=f'cannot be used with {self.name}: its outputs are latents, '
        'and a loss of Keras would compare these with targets', advice='Use '
        'tf_resflow train or tf_resflow evaluate, or fit(x, x) of a '
        'keras.Model whose call(x) returns flow.log_prob(x), compiled with '
        'loss=lambda _, log_prob: -log_prob.')

  def export(self, *unused_args: Any, **unused_kwargs: Any) -> None:
    """Raises `InvalidValueError`; `serving.export` exports flows."""
    raise errors.InvalidValueError(
        'export', problem=f'cannot be used with {self.name}: Keras would '
        'export latents alone', advice='Use tf_resflow.serving.export(flow, '
        'folder), or tf_resflow export.')
