"""What can be asked for is known without TensorFlow."""

import subprocess
import sys

from tf_resflow.configuration import registries
from tf_resflow.configuration import registry

_SCRIPT = """
import sys

from absl import flags

import tf_resflow
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.configuration import flags as flags_lib
from tf_resflow.configuration import registries
from tf_resflow.configuration import registry

for table in vars(registries).values():
  if isinstance(table, registry.Registry):
    print(*table.names())

flag_values = flags.FlagValues()
flags_lib.define(flag_values)
print(flag_values.get_help())
flag_values(['train', '--dataset=cifar10', '--estimator=adaptive:0.02'])
config = flags_lib.config(flag_values)
assert configuration.model_from_json(config.model.to_json()) == config.model
assert isinstance(config.model, models.ResidualFlowConfig)
assert datasets.info('cifar10').num_classes == 10
print(flags_lib.to_flagfile(config))
print(*sys.modules)
"""

_HEAVY = {
    'h5py', 'keras', 'matplotlib', 'scipy', 'sklearn', 'tensorboard',
    'tensorflow', 'tensorflow_datasets', 'tensorflow_probability', 'tf_keras'}


def test_configuration_imports_no_framework():
  process = subprocess.run(
      [sys.executable, '-c', _SCRIPT], capture_output=True, text=True,
      check=True)
  lines = process.stdout.splitlines()
  for table in vars(registries).values():
    if isinstance(table, registry.Registry):
      assert ' '.join(table.names()) in lines
  assert '--estimator=adaptive:0.02' in lines
  modules = {name.partition('.')[0] for name in lines[-1].split()}
  assert 'tf_resflow' in modules
  assert not modules & _HEAVY
