"""Residual Flows for TensorFlow, Keras 3 and TensorFlow Probability.

Invertible residual networks as generative models (Chen et al., 2019).
`numerics` holds the maths, `layers` the Keras layers, `bijectors` their TFP
adapters, `models` the flows of the paper. Packages are imported when they are
used; `specs` and `configuration` need no TensorFlow. Keras files that hold our
layers are loaded by `keras.models.load_model`, whichever of the two packages is
imported first.
"""

import importlib.abc
import importlib.util
import sys

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = '0.2.0'


# Keras knows a class whose decorator has run, and imports modules of its own
# packages alone. Decorators here would import TensorFlow with this package;
# those of `layers` and `models` come too late for a program that loads a file
# before it uses a class.
class _KerasFinder(importlib.abc.MetaPathFinder):
  """Runs `_register` behind the first `import keras`."""

  def find_spec(self, name, path=None, target=None):
    if name != 'keras':
      return None
    sys.meta_path.remove(self)
    spec = importlib.util.find_spec(name)
    load = spec.loader.exec_module
    spec.loader.exec_module = lambda module: (load(module), _register(module))
    return spec


def _register(keras):
  """Lets `keras.models.load_model` import classes where a file names them."""
  for package in ('layers', 'models'):
    module = importlib.import_module(f'tf_resflow.{package}')
    for name in module.__all__:
      keras.saving.get_custom_objects().setdefault(
          f'tf_resflow>{name}', type(name, (), {'from_config': staticmethod(
              lambda config, module=module, name=name: getattr(
                  module, name).from_config(config))}))


if 'keras' in sys.modules:
  _register(sys.modules['keras'])
else:
  sys.meta_path.insert(0, _KerasFinder())
