"""Models of any size whose weights have shapes and no values."""

from concurrent import futures

import keras

from tf_resflow import models


def build(config: models.ModelConfig) -> models.Flow:
  """Returns a model that can be asked for its shapes, and not evaluated.

  Keras gives variables no value in a stateless scope. It keeps a list of them,
  to catch up later, in the thread: this one ends.
  """

  def run():
    with keras.StatelessScope(initialize_variables=False):
      return config.build()

  with futures.ThreadPoolExecutor(1) as executor:
    return executor.submit(run).result()
