"""Which type lacks which property."""

import keras

stored = keras.saving.register_keras_serializable('planted')
# Check, type, and what is said of it.
ALL = []


def lacks(check, problem):
  """Returns the decorator of a type of which a check finds a problem."""
  def add(cls):
    ALL.append((check, cls, problem))
    return stored(cls) if issubclass(cls, keras.layers.Layer) else cls

  return add
