"""Uses of the private APIs of Python; see also `private_tf_apis.py`.

`private_keras_apis.py` and `private_tfp_apis.py` have those of Keras and TFP.
"""

import pickle


def python_unpickler() -> type:
  """Returns the class of unpicklers that is written in Python.

  The public one, in C, allocates whatever sizes a file declares, and cannot be
  restricted to some opcodes.
  """
  return pickle._Unpickler  # pylint: disable=protected-access
