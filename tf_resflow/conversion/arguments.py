"""Converts the authors' training arguments to a configuration.

Names with double dashes are flags of the authors' `train_img.py`; in errors
they are `checkpoint.args.NAME`. Arguments that older versions of the script
lack take their present default, which is what those versions did.
"""

from collections.abc import Mapping
import math
import re
import reprlib
from typing import Any

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors

# Mean and standard deviation per channel, for the CIFAR-10 classifier.
_CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
_CIFAR10_STD = (0.2023, 0.1994, 0.2010)

_DEFAULTS = {
    'data': 'cifar10', 'imagesize': 32, 'nbits': 8, 'block': 'resblock',
    'coeff': 0.98, 'vnorms': '2222', 'learn_p': False, 'n_power_series': None,
    'factor_out': False, 'n_dist': 'poisson', 'n_samples': 1,
    'n_exact_terms': 2, 'neumann_grad': True, 'act': 'swish', 'idim': 512,
    'nblocks': '16-16-16', 'squeeze_first': False, 'actnorm': True,
    'fc_actnorm': False, 'batchnorm': False, 'dropout': 0.0, 'fc': False,
    'kernels': '3-1-3', 'logit_transform': True, 'add_noise': True,
    'quadratic': False, 'fc_end': True, 'fc_idim': 128, 'preact': True,
    'padding': 0, 'first_resblock': True, 'cdim': 256, 'optimizer': 'adam',
    'scheduler': False, 'batchsize': 64, 'lr': 1e-3, 'wd': 0.0,
    'warmup_iters': 1000, 'annealing_iters': 0, 'update_freq': 1,
    'task': 'density', 'scale_dim': False, 'rcrop_pad_mode': 'reflect'}

# Switches with a field of this package that takes the same values.
_SAME = {
    'idim': 'hidden_channels', 'factor_out': 'factor_out',
    'squeeze_first': 'squeeze_first', 'preact': 'preactivation',
    'fc': 'fully_connected', 'fc_idim': 'dense_hidden_units',
    'actnorm': 'act_norm', 'fc_actnorm': 'feature_act_norm',
    'first_resblock': 'first_act_norm', 'cdim': 'head_channels',
    'optimizer': 'optimizer', 'batchsize': 'batch_size',
    'update_freq': 'accumulation_steps', 'rcrop_pad_mode': 'crop_mode'}

# Switches with a few values: our field, and its value for each of them.
_CHOICES: dict[str, tuple[str, dict]] = {
    'data': ('dataset', {
        'mnist': 'mnist', 'cifar10': 'cifar10', 'svhn': 'svhn_cropped',
        'imagenet32': 'downsampled_imagenet/32x32',
        'imagenet64': 'downsampled_imagenet/64x64',
        'celeba_5bit': 'celeb_a_hq/64', 'celebahq': 'celeb_a_hq/256'}),
    'block': ('block', {'resblock': 'residual', 'coupling': 'coupling'}),
    'act': ('activation', {
        'swish': 'lipswish', 'elu': 'elu', 'softplus': 'softplus',
        'relu': 'relu', 'identity': 'identity', 'lcube': 'lipschitz_cube'}),
    'task': ('hybrid', {
        'density': False, 'hybrid': True, 'classification': True}),
    'quadratic': ('invertible_linear', {False: 'none', True: 'free'}),
    # Distributions of the number of terms, with the parameters of the script.
    'n_dist': ('estimator', {
        'poisson': 'roulette:poisson:2',
        'geometric': 'roulette:geometric:0.5'})}

# Neither the function nor its training in this package depends on these.
_IGNORED = {
    'dataroot', 'n_lipschitz_iters', 'sn_tol', 'var_reduc_lr', 'mem_eff',
    'nepochs', 'save', 'val_batchsize', 'seed', 'ema_val', 'padding_dist',
    'resume', 'begin_epoch', 'nworkers', 'print_freq', 'vis_freq'}

# Switches that have no effect for one of the script's blocks.
_UNUSED = {'coupling': (
    'coeff', 'vnorms', 'learn_p', 'n_power_series', 'n_dist', 'n_samples',
    'n_exact_terms', 'neumann_grad')}

# Size of random crops of the script, and padding on every side before it.
_CROP_SIZE, _CROP_PADDING = 32, 4

# Image size of the largest data set of the script.
_MAX_IMAGE_SIZE = 256

# Switches that change the function, of which only the default is supported.
_UNSUPPORTED = {
    'batchnorm': 'Batch normalisation inside of g cannot be converted: its '
                 'moving statistics make g another function after every batch.',
    'dropout': 'Dropout inside of g cannot be converted: it makes g another '
               'function at every evaluation, of which no log-determinant is '
               'known.',
    'padding': 'Padded channels cannot be converted.'}

# Switches of training alone: the converted model is right, but further training
# in this package always uses the default.
_TRAINED_OTHERWISE = {
    'n_power_series': 'the roulette estimator',
    'neumann_grad': 'the Neumann gradient',
    'add_noise': 'dequantisation noise',
    'scheduler': 'a constant learning rate'}

# Valid types by that of the default, for `_checked`; otherwise that type.
_ACCEPTED = {float: (int, float), type(None): (int, type(None))}


def _check(condition, name, value, expected='', advice='', problem=''):
  # Untrusted values, nested to any depth: `repr` could recurse too far.
  errors.check(
      condition, f'checkpoint.args.{name}', reprlib.repr(value), expected,
      advice, problem=problem)


def _integers(name, value):
  """Parses lists such as '16-16-16'."""
  parts = value.split('-')
  _check(all(re.fullmatch('[0-9]{1,9}', part) for part in parts), name, value,
         'integers joined by dashes, such as 3-1-3')
  return tuple(map(int, parts))


def _checked(args):
  """Returns the relevant arguments; raises an error that names a bad one."""
  for name, default in _DEFAULTS.items():
    value, type_ = args[name], type(default)
    _check(isinstance(value, _ACCEPTED.get(type_, type_))
           and isinstance(value, bool) == (type_ is bool),
           name, value, f'a value like {default!r}')
  num_norms = len(_integers('kernels', args['kernels'])) + 1
  defaults = _DEFAULTS | {'vnorms': '2' * num_norms}
  args |= {name: defaults[name] for name in _UNUSED.get(args['block'], ())}
  for is_supported, name, expected, advice in (
      *((args[name] == _DEFAULTS[name], name, repr(_DEFAULTS[name]), why)
        for name, why in _UNSUPPORTED.items()),
      (re.fullmatch('[1-9f]+', args['vnorms']), 'vnorms',
       'digits from 1, and f for infinity', ''),
      (len(args['vnorms']) == num_norms, 'vnorms',
       f'{num_norms} norms, one more than kernels', ''),
      *((args[name] in values, name, f'one of {", ".join(map(str, values))}',
         '') for name, (_, values) in _CHOICES.items()),
      (args['n_samples'] >= 1, 'n_samples', 'a number >= 1', ''),
      (args['imagesize'] <= _MAX_IMAGE_SIZE, 'imagesize',
       f'at most {_MAX_IMAGE_SIZE}', '')):
    _check(is_supported, name, args[name], expected, advice)
  return args


def _norms(args, num_blocks, uncertified):
  """Returns the fields of the configuration about the norms of layers."""
  norms = tuple('inf' if norm == 'f' else norm for norm in args['vnorms'])
  if args['learn_p']:
    norms = ('learned',)
  elif set(norms) == {'2'}:
    return {}
  kernels = _integers('kernels', args['kernels'])
  # The script then has two convolutions, both with these orders.
  is_repeated = len(kernels) == 1
  size = args['imagesize'] >> (len(num_blocks) - 1 + args['squeeze_first'])
  for is_supported, name, problem, advice in (
      (not is_repeated or len(set(args['vnorms'])) == 1 > args['learn_p'],
       'kernels', 'cannot be used with mixed or learned norms',
       'These need two or more kernels.'),
      (uncertified or args['learn_p'] or float(norms[-1]) <= float(norms[0]),
       'vnorms', 'does not prove that blocks are invertible: its last norm is '
       'above the first', '--uncertified converts the model nevertheless.'),
      (args['fc'] or max(kernels) <= size, 'kernels',
       f'cannot be used with norms other than 2 for images of {size} x {size}, '
       'the smallest', '')):
    _check(is_supported, name, args[name], problem=problem, advice=advice)
  return {'norms': norms[:1] if is_repeated else norms,
          'norm_bound': 'released', 'uncertified': uncertified}


def _training_notes(args, arguments):
  unknown = sorted(set(arguments) - set(_DEFAULTS) - _IGNORED)
  num_levels = 2**_num_bits(args)
  conditions = [
      (args[name] != _DEFAULTS[name],
       f'trained with --{name.replace("_", "-")}={args[name]}; further '
       f'training uses {what}') for name, what in _TRAINED_OTHERWISE.items()
  ] + [
      (_is_cropped(args) and args['imagesize'] != _CROP_SIZE,
       f'trained on crops of {_CROP_SIZE} x {_CROP_SIZE}; training it further '
       'uses whole images'),
      (args['wd'],
       f'trained with --wd={args["wd"]} (which the Adam of the published '
       'script does not apply); further training does not decay weights'),
      (args['data'] == 'celebahq' and args['nbits'] < 8,
       f'trained on levels j as (j {num_levels - 1}/{num_levels} + U) / '
       f'{num_levels}; this package dequantises them as (j + U) / '
       f'{num_levels}, so that bits/dim are not those of the script'),
      (args['learn_p'] or set(args['vnorms']) != {'2'},
       f'bounded in norms {"learned" if args["learn_p"] else args["vnorms"]}, '
       'some of which are estimates that may be too low; tf_resflow evaluate '
       'reports the proven bounds'),
      (args['learn_p'],
       'trained its orders by the gradient of the mean norm; further training '
       'uses 0.01 times this gradient'),
      (unknown,
       'has training arguments that the published script does not know, '
       f'which are ignored: {", ".join(unknown).replace("_", "-")}')]
  return tuple(note for condition, note in conditions if condition)


def _is_cropped(args):
  """Returns whether the script crops the images, always to 32 x 32."""
  return args['data'] == 'svhn' or _is_standardized(args)


def _is_standardized(args):
  return args['data'] == 'cifar10' and args['task'] != 'density'


def _num_bits(args):
  """Returns the bits per pixel, reduced by the script for two data sets."""
  return {'celeba_5bit': 5, 'celebahq': args['nbits']}.get(args['data'], 8)


def _preprocessing(args):
  if _is_standardized(args):
    # The script squeezes first and standardises only as many channels as there
    # are colours: three of the four quarters of red.
    num_others = 9 if args['squeeze_first'] else 0
    return {'preprocessing': 'standardize',
            'mean': _CIFAR10_MEAN + (0.0,) * num_others,
            'std': _CIFAR10_STD + (1.0,) * num_others}
  if not args['logit_transform']:
    return {'preprocessing': 'none'}
  return {'preprocessing': 'logit',
          'logit_alpha': 1e-6 if args['data'] == 'mnist' else 0.05}


def convert_arguments(
    arguments: Mapping[str, Any], uncertified: bool = False,
) -> tuple[configuration.Config, tuple[str, ...]]:
  """Converts training arguments to a configuration.

  Args:
    arguments: from the names of the flags of `train_img.py`, with
      underscores, to their values.
    uncertified: whether to accept norms that prove no contraction, such as
      1, 2, 2, inf.

  Returns:
    The configuration, and sentences about differences in training or in the
    data; the function is the same.

  Raises:
    errors.InvalidValueError: naming the switch that is not supported.

  Example:
    >>> config, notes = convert_arguments({'data': 'mnist', 'imagesize': 28})
    >>> config.data.dataset
    'mnist'
  """
  args = _checked(_DEFAULTS | dict(arguments))
  fields = _architecture(args, uncertified)
  try:
    config = configuration.make_config(**fields, **_training(args, fields))
  except (ArithmeticError, TypeError, ValueError) as error:
    raise errors.InvalidValueError(
        'checkpoint.args', reprlib.repr(args), 'arguments of a valid model',
        str(error)[:500]) from error
  return config, _training_notes(args, arguments)


def _architecture(args, uncertified):
  """Returns the fields of the model, and those of equal values."""
  size = args['imagesize'] // (2 if args['squeeze_first'] else 1)
  _check(size >= 4, 'imagesize', args['imagesize'],
         'a size that leaves a scale of 4 x 4')
  # The script leaves out scales whose images would be smaller.
  num_blocks = _integers('nblocks', args['nblocks'])[:size.bit_length() - 2]
  kernel_sizes = _integers('kernels', args['kernels'])
  # With one scale the script does not apply its rule for the first block.
  is_first_bare = (
      args['first_resblock'] and len(num_blocks) > 1 and not args['fc'])
  fields = _norms(args, num_blocks, uncertified) | _preprocessing(args) | {
      ours: args[name] for name, ours in _SAME.items()} | {
          ours: values[args[name]] for name, (ours, values) in _CHOICES.items()}
  fields['estimator'] += f',exact={args["n_exact_terms"]}' + (
      f',samples={args["n_samples"]}' if args['n_samples'] > 1 else '')
  return fields | {
      'num_blocks': num_blocks,
      # The script has two convolutions at least.
      'kernel_sizes': kernel_sizes * (2 if len(kernel_sizes) == 1 else 1),
      'activate_first_block': not is_first_bare,
      'num_dense_blocks': 4 if args['fc_end'] else 0,
      'num_dense_hidden_layers': len(kernel_sizes) - 1}


def _training(args, fields):
  """Returns the fields of data and training, beside those of the model."""
  native_size = datasets.info(fields['dataset']).event_shape[0]
  is_classifier = args['task'] == 'classification'

  def in_updates(num_batches):
    # The script counts batches; an update takes several.
    return math.ceil(num_batches / max(args['update_freq'], 1))

  return {
      'num_bits': _num_bits(args),
      'resize': None if args['imagesize'] == native_size else args['imagesize'],
      'flip': args['data'] in ('cifar10', 'celebahq', 'celeba_5bit'),
      'crop_padding': _CROP_PADDING if _is_cropped(args) and (
          args['imagesize'] == _CROP_SIZE) else 0,
      'lipschitz_coeff': float(args['coeff']),
      # Weight of the density in the loss, with both terms in nats.
      'nll_weight': 0.0 if is_classifier else (
          '1/D' if fields['hybrid'] and args['scale_dim'] else 1.0),
      'order_gradient': 'norm' if args['learn_p'] else 'likelihood',
      'learning_rate': float(args['lr']),
      'warmup_steps': in_updates(args['warmup_iters']),
      'annealing_steps': (
          0 if is_classifier else in_updates(args['annealing_iters']))}
