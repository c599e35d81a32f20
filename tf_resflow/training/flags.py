"""The flags of bin/train: definition, and conversion to a configuration.

The only module that reads `absl.flags.FLAGS`.
"""

import dataclasses

from absl import flags

from tf_resflow import datasets
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.training import config as config_lib

FLAGS = flags.FLAGS
# The flags belong to the tool that defines them, so that its --help lists them.
flags.disclaim_key_flags()

_HELP = {
    'dataset': 'Data set: ' + ', '.join(datasets.names()) + '.',
    'data_dir': 'Folder of prepared data sets (that of TFDS by default).',
    'num_bits': 'Reduce 8-bit images to this many bits.',
    'image_size': 'Checked against the size of the images.',
    'resize': 'Resize the images to this height and width.',
    'num_validation': 'Training examples set aside for validation.',
    'flip': 'Flip training images left to right at random.',
    'num_blocks': 'Residual blocks per scale, such as 16,16,16.',
    'hidden_channels': 'Width of the hidden layers of g.',
    'kernel_sizes': 'Kernel sizes of the convolutions of g, such as 3,1,3.',
    'activation': 'Activation: ' + ', '.join(layers.activation_names()) + '.',
    'lipschitz_coeff': 'Bound of the operator norm of every layer, below 1.',
    'factor_out': 'Half of the channels leave after every scale.',
    'squeeze_first': 'Space-to-depth before the first block.',
    'preactivation': 'g starts with an activation.',
    'activate_first_block': '--preactivation goes for the very first g, too.',
    'fully_connected': 'Dense layers in place of all convolutions.',
    'num_dense_blocks': 'Fully connected blocks after the last scale.',
    'dense_hidden_units': 'Width of the hidden layers of dense blocks.',
    'num_dense_hidden_layers': 'Number of hidden layers of every dense g.',
    'act_norm': 'ActNorm after every block.',
    'feature_act_norm': 'ActNorm per feature (h, w, c) after every block.',
    'first_act_norm': 'ActNorm before the first block, too.',
    'preprocessing': 'logit, standardize (with mean and std) or none.',
    'logit_alpha': 'alpha of the logit transform, in (0, 1/2).',
    'mean': 'Mean per channel, such as 0.49,0.48,0.45.',
    'std': 'Standard deviation per channel.',
    'hybrid': 'Learn the labels as well, with a classifier on the flow.',
    'head_channels': 'Features that the classifier takes from every scale.',
    'nll_weight': 'lambda of the hybrid loss lambda * nats(x) + cross entropy.',
    'num_exact_terms': 'Log-det terms that are always computed.',
    'truncation': 'Law of the further terms: poisson or geometric.',
    'truncation_parameter': 'Rate of poisson, or p of geometric.',
    'probe': 'Trace probes: rademacher or gaussian.',
    'memory': 'Log-det gradient: ' + ', '.join(numerics.MEMORY_MODES) + '.',
    'num_steps': 'Optimizer updates in all; raise it to continue a run.',
    'batch_size': 'Global batch, shared by the replicas.',
    'accumulation_steps': 'Batches whose gradients make one update.',
    'learning_rate': 'Learning rate of Adam after the warm-up.',
    'warmup_steps': 'Steps of linear warm-up.',
    'schedule': 'After the warm-up: constant, or cosine decay to zero.',
    'beta_2': 'Second-moment decay of Adam.',
    'epsilon': 'Epsilon of Adam.',
    'weight_decay': 'Decoupled weight decay (AdamW).',
    'clip_norm': 'Global norm at which gradients are clipped.',
    'ema_decay': 'Decay of the weight average that evaluation uses.',
    'seed': 'Seed of weights, data order, noise and estimators.',
    'strategy': 'single, mirrored (all devices), or auto (mirrored where '
                'there are several GPUs).',
    'jit_compile': 'Compile the gradient computation with XLA.',
    'checkpoint_every': 'Steps between checkpoints.',
    'checkpoints_to_keep': 'Number of latest checkpoints to keep.',
    'log_every': 'Steps between rows of metrics.csv.',
    'sample_every': 'Steps between sample grids; 0 for none.',
    'evaluate_every': 'Steps between validations; 0 for none.',
}

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    str | None: flags.DEFINE_string,
    int | None: flags.DEFINE_integer,
}

_ELEMENTS = {
    tuple[int, ...]: (int, 'integers'),
    tuple[float, ...]: (float, 'numbers'),
}


def flag_names():
  """Returns the names of the flags that `define_flags` defines."""
  return ('workdir', *(
      f.name for f in dataclasses.fields(config_lib.TrainingConfig)))


def define_flags():
  """Defines `--workdir` and one flag per field of `TrainingConfig`.

  Returns:
    The `FlagHolder` of `--workdir`.
  """
  workdir = flags.DEFINE_string(
      'workdir', None, 'Folder of the run: flags, metrics, checkpoints, '
      'TensorBoard files and samples. An existing run there is continued.',
      required=True)
  define_config_flags()
  return workdir


def define_config_flags():
  """Defines one flag per field of `TrainingConfig`."""
  for field in dataclasses.fields(config_lib.TrainingConfig):
    if field.type in _ELEMENTS:
      flags.DEFINE_list(
          field.name, [str(v) for v in field.default], _HELP[field.name])
    else:
      _DEFINE[field.type](field.name, field.default, _HELP[field.name])


def config_from_flags(flag_values=None):
  """Returns the `TrainingConfig` that the flags describe.

  Args:
    flag_values: parsed flags, `absl.flags.FLAGS` by default.

  Raises:
    ValueError: a message that starts with the name of the flag.
  """
  flag_values = FLAGS if flag_values is None else flag_values
  values = {}
  for field in dataclasses.fields(config_lib.TrainingConfig):
    value = flag_values[field.name].value
    if field.type in _ELEMENTS:
      element, kind = _ELEMENTS[field.type]
      try:
        value = tuple(element(v) for v in value)
      except ValueError:
        raise ValueError(
            f'{field.name} is {",".join(value)!r}; expected comma-separated '
            f'{kind}.') from None
    values[field.name] = value
  return config_lib.TrainingConfig(**values)


def to_flagfile(config):
  """Returns the text of a flagfile that replays a run."""
  lines = []
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    if value is None:
      continue
    if field.type is bool:
      lines.append(f'--{field.name}' if value else f'--no{field.name}')
    elif field.type in _ELEMENTS:
      lines.append(f'--{field.name}={",".join(str(v) for v in value)}')
    else:
      lines.append(f'--{field.name}={value}')
  return '\n'.join(lines) + '\n'


def config_from_flagfile(path):
  """Returns the `TrainingConfig` of a `run.flags` file.

  Args:
    path: of a file that `to_flagfile` wrote.

  Raises:
    ValueError: if it cannot be read, or a flag or its value is not known.
  """
  values = flags.FlagValues()
  for field in dataclasses.fields(config_lib.TrainingConfig):
    if field.type in _ELEMENTS:
      flags.DEFINE_list(
          field.name, [str(v) for v in field.default], '', flag_values=values)
    else:
      _DEFINE[field.type](field.name, field.default, '', flag_values=values)
  try:
    values(['', f'--flagfile={path}'])
    return config_from_flags(values)
  except (flags.Error, ValueError) as error:
    raise ValueError(
        f'{path} does not describe a run of this version: {error}') from error
