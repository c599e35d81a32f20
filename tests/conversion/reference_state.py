"""The layers and the state of the authors' `train_img.py`, in NumPy.

Written from its behaviour, for tests only: which layers follow from the
training arguments, and names, shapes, dtypes and order of the state they have.
`tests.conversion.reference_flow` computes with them.
"""

import itertools
from typing import NamedTuple

import numpy as np

from tests.conversion import reference_nets

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2023, 0.1994, 0.2010)
_DEFAULTS = {
    'data': 'cifar10', 'dataroot': 'data', 'imagesize': 32, 'nbits': 8,
    'block': 'resblock',
    'coeff': 0.98, 'vnorms': '2222', 'n_lipschitz_iters': None,
    'sn_tol': 1e-3, 'learn_p': False,
    'n_power_series': None, 'factor_out': False, 'n_dist': 'poisson',
    'n_samples': 1, 'n_exact_terms': 2, 'var_reduc_lr': 0,
    'neumann_grad': True, 'mem_eff': True,
    'act': 'swish', 'idim': 512, 'nblocks': '16-16-16',
    'squeeze_first': False, 'actnorm': True, 'fc_actnorm': False,
    'batchnorm': False, 'dropout': 0.0, 'fc': False, 'kernels': '3-1-3',
    'logit_transform': True, 'add_noise': True, 'quadratic': False,
    'fc_end': True, 'fc_idim': 128, 'preact': True, 'padding': 0,
    'first_resblock': True, 'cdim': 256,
    'optimizer': 'adam', 'scheduler': False, 'nepochs': 1000,
    'batchsize': 64, 'lr': 1e-3, 'wd': 0, 'warmup_iters': 1000,
    'annealing_iters': 0, 'save': 'experiment1', 'val_batchsize': 200,
    'seed': None, 'ema_val': True, 'update_freq': 1,
    'task': 'density', 'scale_dim': False, 'rcrop_pad_mode': 'reflect',
    'padding_dist': 'uniform',
    'resume': None, 'begin_epoch': 0,
    'nworkers': 4, 'print_freq': 20, 'vis_freq': 500}
# Of all data sets with labels.
_NUM_CLASSES = 10
_NUM_DENSE_BLOCKS = 4
_PARAMETER_ROLES = (
    'geom_p', 'lamb', 'kernel', 'bias', 'beta', 'log_scale', 'matrix', 'order')


class Layer(NamedTuple):
  """One step of the flow.

  Attributes:
    kind: 'logit', 'normalize', 'act_norm', 'linear', 'block', 'coupling' or
      'squeeze'.
    name: of the module in the authors' state.
    shape: `(channels, rows, columns)` of what goes in.
    dense: whether an ActNorm has a scale for every element, not every channel;
      whether a linear layer mixes all elements, not the channels alone.
    net: `Operator`s and `Activation`s of a block or a coupling.
    passed: `[channels, rows, columns]`, which elements a coupling lets pass.
    masked: whether the network of a coupling sees whole images, with zeros
      where they do not pass, and makes scales and shifts of whole images.
  """

  kind: str
  name: str
  shape: tuple
  dense: bool = False
  net: tuple = ()
  passed: np.ndarray | None = None
  masked: bool = False


class Entry(NamedTuple):
  """One tensor of the authors' state; `role` says how it is used."""

  name: str
  shape: tuple
  role: str
  operator: reference_nets.Operator | None = None

  @property
  def dtype(self):
    return {'geom_p': np.float64, 'initialized': np.int64}.get(
        self.role, np.float32)


def default_arguments(**changes):
  """Returns all arguments of `train_img.py` with `changes` to the defaults."""
  return {**_DEFAULTS, **changes}


def image_shape(arguments):
  """Shape `(H, W, C)` of images."""
  size = arguments['imagesize']
  return size, size, 1 if arguments['data'] == 'mnist' else 3


def _integers(text):
  return [int(number) for number in text.split('-')]


def build_scales(arguments):
  """Returns for each scale the list of its `Layer`s."""
  height, width, channels = image_shape(arguments)
  if arguments['squeeze_first']:
    channels, height, width = 4 * channels, height // 2, width // 2
  num_blocks = _integers(arguments['nblocks'])
  # No scale has images below 4 x 4.
  num_blocks = num_blocks[:int(np.log2(height)) - 1]
  scales = []
  for index, number in enumerate(num_blocks):
    last = index == len(num_blocks) - 1
    shape = (channels, height, width)
    scales.append(_scale(arguments, index, shape, number, last))
    channels *= 2 if arguments['factor_out'] else 4
    height, width = height // 2, width // 2
  return scales


def _scale(arguments, index, shape, num_blocks, last):
  layers = []
  first = arguments['first_resblock'] and index == 0
  # Couplings take turns in what they let pass, anew in every scale.
  swaps = itertools.cycle([False, True])
  start = _preprocessing(arguments) if index == 0 else None

  def add(kind, dense=False, **attributes):
    name = f'transforms.{index}.chain.{len(layers)}'
    if kind in ('act_norm', 'linear') and dense:
      name += '.fc_module'
    layers.append(Layer(kind, name, shape, dense, **attributes))

  def add_act_norms():
    if arguments['actnorm']:
      add('act_norm', arguments['fc'])
    if arguments['fc_actnorm']:
      add('act_norm', True)

  def add_block(dense, width, leading):
    coupled = arguments['block'] == 'coupling'
    # A preprocessing layer makes the couplings of its scale checkerboards.
    masked = coupled and start is not None and not dense
    # What the network takes and makes, in multiples of what there is.
    ends = (1, 1) if not coupled else (1, 2) if masked else (1 / 2, 1)
    net = (reference_nets.dense_net if dense else reference_nets.conv_net)(
        f'transforms.{index}.chain.{len(layers)}.nnet', shape, ends, width,
        _integers(arguments['kernels']),
        arguments['preact'] and (leading or dense), not coupled,
        [] if coupled else reference_nets.orders(arguments))
    if coupled:
      add('coupling', net=net, passed=_passed(shape, masked) ^ next(swaps),
          masked=masked)
    else:
      add('block', net=net)

  if start:
    add(start)
  if first:
    add_act_norms()
  for block in range(num_blocks):
    if arguments['quadratic']:
      add('linear', arguments['fc'])
    # The last scale, also when it is the only one, keeps its first activation.
    add_block(arguments['fc'], arguments['idim'],
              leading=last or not (first and block == 0))
    add_act_norms()
  if not last:
    add('squeeze')
  elif arguments['fc_end']:
    for _ in range(_NUM_DENSE_BLOCKS):
      add_block(True, arguments['fc_idim'], leading=True)
      if arguments['actnorm'] or arguments['fc_actnorm']:
        add('act_norm', True)
  return layers


def _preprocessing(arguments):
  if arguments['data'] == 'cifar10' and arguments['task'] != 'density':
    return 'normalize'
  return 'logit' if arguments['logit_transform'] else None


def _passed(shape, checkerboard):
  """Returns the mask of inputs that the first coupling does not change."""
  channel, row, column = np.indices(shape)
  if checkerboard:
    return (row + column) % 2 == 0
  return channel < shape[0] // 2


def build_heads(arguments):
  """Returns the unconstrained convolution of each scale's classifier."""
  if arguments['task'] == 'density':
    return []
  scales = build_scales(arguments)
  channels, height, width = scales[0][0].shape
  heads = []
  for index in range(len(scales)):
    if index < len(scales) - 1:
      channels *= 2 if arguments['factor_out'] else 4
      height, width = height // 2, width // 2
    heads.append(reference_nets.Operator(
        f'classification_heads.{index}.0', arguments['cdim'], channels, 3,
        height, width, constrained=False))
  return heads


def state_entries(arguments):
  """Returns the list of `Entry`s of the state, in the authors' order."""
  entries = []
  layers = [
      layer for scale in build_scales(arguments) for layer in scale]
  if layers[0].kind == 'normalize':
    # One module under two names.
    entries += _normalize_entries('init_layer')
  for layer in layers:
    size = int(np.prod(layer.shape)) if layer.dense else layer.shape[0]
    if layer.kind == 'normalize':
      entries += _normalize_entries(layer.name)
    elif layer.kind == 'act_norm':
      entries += _act_norm_entries(layer.name, size)
    elif layer.kind == 'linear':
      entries.append(Entry(f'{layer.name}.weight', (size, size), 'matrix'))
    elif layer.kind in ('block', 'coupling'):
      entries += _net_entries(arguments, layer)
  heads = build_heads(arguments)
  for head in heads:
    entries += _operator_entries(head)
    entries += _act_norm_entries(head.name[:-1] + '1', head.outputs)
  if heads:
    entries += _operator_entries(reference_nets.Operator(
        'logit_layer', _NUM_CLASSES, len(heads) * arguments['cdim'],
        constrained=False))
  return entries


def _normalize_entries(name):
  return [Entry(f'{name}.mean', (3,), 'mean'),
          Entry(f'{name}.std', (3,), 'std')]


def _act_norm_entries(name, size):
  return [Entry(f'{name}.weight', (size,), 'log_scale'),
          Entry(f'{name}.bias', (size,), 'bias'),
          Entry(f'{name}.initialized', (), 'initialized')]


def _net_entries(arguments, layer):
  entries = [] if layer.kind == 'coupling' else [
      Entry(f'{layer.name}.geom_p', (), 'geom_p'),
      Entry(f'{layer.name}.lamb', (), 'lamb'),
      Entry(f'{layer.name}.last_n_samples', (arguments['n_samples'],), 'count'),
      Entry(f'{layer.name}.last_firmom', (1,), 'moment'),
      Entry(f'{layer.name}.last_secmom', (1,), 'moment')]
  for module in layer.net:
    if isinstance(module, reference_nets.Operator):
      entries += _operator_entries(module)
    elif arguments['act'] == 'swish':
      entries.append(Entry(f'{module.name}.beta', (1,), 'beta'))
  return entries


def _operator_entries(operator):
  name, outputs, inputs = operator[:3]
  dense = operator.kernel is None
  window = () if dense else (operator.kernel, operator.kernel)
  entries = [
      Entry(f'{name}.weight', (outputs, inputs, *window), 'kernel', operator),
      Entry(f'{name}.bias', (outputs,), 'bias')]
  if not operator.constrained:
    return entries
  for suffix, order in zip(('domain', 'codomain'), operator.orders,
                           strict=True):
    if isinstance(order, str):
      entries.append(Entry(
          f'{name}.{suffix}', (),
          'order' if order == f'{name}.{suffix}' else 'order_again', operator))
  if not reference_nets.has_vectors(operator.orders):
    return [*entries, Entry(f'{name}.scale', (), 'scale', operator)]
  if not dense:
    entries += [
        Entry(f'{name}.initialized', (), 'initialized'),
        Entry(f'{name}.spatial_dims', (2,), 'spatial_dims', operator)]
  # A 1 x 1 convolution iterates on the matrix of its channels.
  area = 1 if operator.kernel == 1 else operator.height * operator.width
  return entries + [
      Entry(f'{name}.scale', (), 'scale', operator),
      Entry(f'{name}.u', (outputs * area,), 'u', operator),
      Entry(f'{name}.v', (inputs * area,), 'v', operator)]


def parameter_names(arguments):
  """Names of the trained tensors, in the authors' order."""
  return [entry.name for entry in state_entries(arguments)
          if entry.role in _PARAMETER_ROLES]
