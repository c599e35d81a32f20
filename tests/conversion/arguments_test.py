"""Training arguments become a configuration, or are refused by name."""

import math
import pathlib

from tests import testing
from tests.conversion import reference_state
from tf_resflow import configuration
from tf_resflow import conversion
from tf_resflow import datasets
from tf_resflow.configuration import flags as flags_lib

_FLAGS = pathlib.Path(__file__).resolve().parents[2] / 'bin' / 'flags'


def convert(**changes):
  return conversion.convert_arguments(
      reference_state.default_arguments() | changes)


# The commands of the authors' README, by the file that each made.
_PUBLISHED = {
    'mnist': (
        {'data': 'mnist', 'imagesize': 28},
        {'dataset': 'mnist', 'logit_alpha': 1e-6}),
    'cifar10': ({'data': 'cifar10'}, {'dataset': 'cifar10', 'flip': True}),
    'imagenet32': (
        {'data': 'imagenet32', 'nblocks': '32-32-32'},
        {'dataset': 'downsampled_imagenet/32x32', 'num_blocks': (32, 32, 32)}),
    'imagenet64': (
        {'data': 'imagenet64', 'imagesize': 64, 'nblocks': '32-32-32',
         'factor_out': True, 'squeeze_first': True},
        {'dataset': 'downsampled_imagenet/64x64', 'factor_out': True,
         'squeeze_first': True, 'num_blocks': (32, 32, 32)}),
    'celebahq256': (
        {'data': 'celebahq', 'imagesize': 256, 'nbits': 5, 'act': 'elu',
         'batchsize': 8, 'update_freq': 5, 'n_exact_terms': 8, 'fc_end': False,
         'factor_out': True, 'squeeze_first': True,
         'nblocks': '16-16-16-16-16-16'},
        {'dataset': 'celeb_a_hq/256', 'num_bits': 5, 'activation': 'elu',
         'batch_size': 8, 'accumulation_steps': 5,
         'estimator': 'roulette:poisson:2,exact=8',
         'warmup_steps': 200,  # The script counts batches, 1000 of them.
         'num_dense_blocks': 0, 'factor_out': True, 'squeeze_first': True,
         'num_blocks': (16,) * 6, 'flip': True})}


def test_published_models():
  for name, (arguments, fields) in _PUBLISHED.items():
    conversion_ = convert(**arguments)
    config = conversion_.config
    assert config == configuration.make_config(**fields), name
    # The script dequantises five bits in another way.
    assert len(conversion_.notes) == (name == 'celebahq256')
    # And the flagfile of that name describes it.
    flagfile = flags_lib.from_flagfile(_FLAGS / f'{name}.flags')
    assert not flagfile.model.function_differences(config.model), name
    ours, theirs = flagfile.values(), config.values()
    for field in ('dataset', 'num_bits', 'flip', 'batch_size',
                  'accumulation_steps', 'learning_rate', 'warmup_steps',
                  'estimator'):
      assert ours[field] == theirs[field], (name, field)


def test_flagfiles_of_hybrids_describe_those_of_the_authors():
  for name, arguments in {
      'mnist_hybrid': {'data': 'mnist', 'imagesize': 28},
      'svhn_hybrid': {'data': 'svhn', 'rcrop_pad_mode': 'constant'},
      'cifar10_hybrid': {'data': 'cifar10'}}.items():
    flagfile = flags_lib.from_flagfile(_FLAGS / f'{name}.flags')
    converted = convert(task='hybrid', scale_dim=True, **arguments).config
    assert not flagfile.model.function_differences(converted.model), name
    # They clip a loss in bits.
    expected = converted.replace(clip_norm=math.log(2.0)).values()
    ours = flagfile.values()
    for field in ('dataset', 'flip', 'crop_padding', 'crop_mode', 'hybrid',
                  'nll_weight', 'batch_size', 'learning_rate', 'warmup_steps',
                  'clip_norm', 'estimator'):
      assert ours[field] == expected[field], (name, field)


def test_arguments_of_older_versions_may_be_missing():
  arguments = reference_state.default_arguments(data='mnist', imagesize=28)
  expected = conversion.convert_arguments(arguments).config
  del arguments['logit_transform'], arguments['cdim']
  assert conversion.convert_arguments(arguments).config == expected


def test_switches():
  config = convert(
      data='svhn', imagesize=16, nblocks='3-2-1-7', idim=9, kernels='5-1-1-3',
      vnorms='22222', act='lcube', coeff=0.5, actnorm=False, fc_actnorm=True,
      preact=False, first_resblock=False, fc_idim=11, fc=True, n_exact_terms=4,
      n_dist='geometric', logit_transform=False, lr=0.25,
      warmup_iters=3).config
  assert config == configuration.make_config(
      dataset='svhn_cropped', resize=16, num_blocks=(3, 2, 1),
      hidden_channels=9, kernel_sizes=(5, 1, 1, 3),
      activation='lipschitz_cube', lipschitz_coeff=0.5, act_norm=False,
      feature_act_norm=True, first_act_norm=False, preactivation=False,
      activate_first_block=True, fully_connected=True, dense_hidden_units=11,
      num_dense_hidden_layers=3, preprocessing='none', learning_rate=0.25,
      warmup_steps=3, estimator='roulette:geometric:0.5,exact=4')
  for name in ('softplus', 'identity'):
    assert convert(act=name).config.model.activation == name


def test_norms():
  for change, expected in (
      ({'vnorms': 'f2ff'}, {'norms': ('inf', '2', 'inf', 'inf')}),
      ({'vnorms': '33', 'kernels': '3'}, {
          'norms': ('3',), 'kernel_sizes': (3, 3),
          'num_dense_hidden_layers': 0}),
      ({'vnorms': '122f'}, {
          'norms': ('1', '2', '2', 'inf'), 'uncertified': True}),
      ({'learn_p': True}, {'norms': ('learned',), 'order_gradient': 'norm'})):
    made = conversion.convert_arguments(
        reference_state.default_arguments(**change), 'uncertified' in expected)
    assert made.config == convert().config.replace(
        norm_bound='released', **expected), change
    assert 'by estimates, which may be too low' in made.notes[0]


def test_couplings():
  """What their norms and log-determinants would take makes no difference."""
  expected = configuration.make_config(
      dataset='mnist', logit_alpha=1e-6, block='coupling', activation='relu',
      kernel_sizes=(3, 1, 1, 3), num_dense_hidden_layers=3)
  arguments = {'data': 'mnist', 'imagesize': 28, 'block': 'coupling',
               'act': 'relu', 'kernels': '3-1-1-3'}
  for changes in (
      {}, {'vnorms': '222f'}, {'learn_p': True}, {'coeff': 7.0},
      {'n_exact_terms': 8, 'n_dist': 'geometric', 'n_power_series': 5,
       'n_samples': 3, 'neumann_grad': False}):
    conversion_ = convert(**arguments, **changes)
    assert conversion_.config == expected
    assert not conversion_.notes
  linear = convert(**arguments, quadratic=True).config
  assert linear == expected.replace(invertible_linear='free')
  # With residual blocks, too.
  assert convert(quadratic=True).config == configuration.make_config(
      dataset='cifar10', flip=True, invertible_linear='free')


def test_switches_of_training():
  for optimizer in ('adamax', 'rmsprop', 'sgd'):
    assert convert(optimizer=optimizer).config.optimizer.optimizer == optimizer
  config = convert(n_samples=3, annealing_iters=12, update_freq=5).config
  assert config.model.estimator == 'roulette:poisson:2,exact=2,samples=3'
  # Counted in updates.
  assert config.objective.annealing_steps == 3
  plain = convert(task='classification', annealing_iters=12).config
  assert plain.objective.annealing_steps == 0


def test_hybrids():
  config = convert(data='cifar10', task='hybrid', cdim=7).config
  model = config.model
  assert (config.objective.hybrid, model.head_channels) == (True, 7)
  assert config.objective.nll_weight == 1.0
  assert model.preprocessing == 'standardize'
  assert (model.mean, model.std) == (
      (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
  scaled = convert(task='hybrid', scale_dim=True).config
  assert scaled.objective.nll_weight == '1/D'
  assert convert(task='classification').config.objective.nll_weight == 0.0
  # Other data sets keep their logit transform.
  grey = convert(data='mnist', imagesize=28, task='hybrid').config.model
  assert (grey.preprocessing, grey.logit_alpha) == ('logit', 1e-6)


def test_what_is_done_to_the_data():
  for change, crop in (
      ({'data': 'svhn'}, (4, 'reflect')),
      ({'data': 'svhn', 'task': 'hybrid', 'rcrop_pad_mode': 'constant'},
       (4, 'constant')),
      ({'task': 'hybrid'}, (4, 'reflect')),
      ({'task': 'classification'}, (4, 'reflect')), ({}, (0, 'reflect')),
      ({'data': 'mnist', 'imagesize': 28, 'task': 'hybrid'}, (0, 'reflect'))):
    data = convert(**change).config.data
    assert (data.crop_padding, data.crop_mode) == crop, change
  # The script reduces bits for two data sets alone.
  assert convert(data='cifar10', nbits=5).config.data.num_bits == 8
  faces = convert(data='celeba_5bit', imagesize=64).config.data
  assert (faces.num_bits, faces.flip) == (5, True)
  # Every data set is known, in its own size.
  for name, size in (('celeba_5bit', 64), ('celebahq', 256),
                     ('imagenet32', 32), ('imagenet64', 64)):
    data = convert(data=name, imagesize=size).config.data
    assert data.dataset in datasets.names()
    assert data.resize is None


def test_rule_of_the_first_block():
  assert not convert().config.model.activate_first_block
  # With one scale the script does not pass the rule on.
  one_scale = convert(nblocks='16').config.model
  assert one_scale.activate_first_block and one_scale.first_act_norm
  assert convert(fc=True).config.model.activate_first_block


def test_what_cannot_be_converted_is_named():
  fields = ': expected arguments that make a model. '
  testing.check_refusals(lambda changes: convert(**changes), [
      (change, f'checkpoint.args{message}') for change, message in (
          ({'block': 'glow'}, ".block='glow': expected one of resblock, coup"),
          ({'vnorms': '122f'}, ".vnorms='122f': expected a last norm that is "
           'at most the first. Nothing proves that its blocks are invertible; '
           '--uncertified'),
          ({'vnorms': '2i22'}, ".vnorms='2i22': expected digits from 1, and f"),
          ({'vnorms': '2022'}, ".vnorms='2022': expected digits from 1, and f"),
          ({'vnorms': 'f2', 'kernels': '3'}, ".kernels='3': expected two or "
           'more with such norms'),
          ({'vnorms': 'ffff', 'kernels': '3-3-9', 'imagesize': 32},
           ".kernels='3-3-9': expected at most 8, the size of the smallest"),
          ({'vnorms': '222'}, ".vnorms='222': expected 4 norms, one more than"),
          ({'learn_p': True, 'vnorms': '22', 'kernels': '3'},
           ".kernels='3': expected two or more with such norms"),
          ({'batchnorm': True}, '.batchnorm=True: expected False. Batch norma'),
          ({'dropout': 0.5}, '.dropout=0.5: expected 0.0. Dropout inside'),
          ({'block': 'coupling', 'dropout': 0.5}, '.dropout=0.5: expected 0.0'),
          ({'padding': 3}, '.padding=3: expected 0. Padded channels cannot be'),
          ({'data': 'lsun'}, ".data='lsun': expected one of mnist, cifar10"),
          ({'n_samples': 0}, '.n_samples=0: expected a number from 1'),
          ({'kernels': '3-2-3'},
           f'=...{fields}kernel_sizes=3,2,3: expected odd numbers'),
          ({'kernels': 'big'}, ".kernels='big': expected integers joined by"),
          ({'imagesize': 2}, '.imagesize=2: expected at least one scale of 4'),
          ({'imagesize': 257}, '.imagesize=257: expected at most 256'),
          ({'imagesize': '32'}, ".imagesize='32': expected a value like 32"),
          ({'lr': 10**400}, f'=...{fields}int too large'),
          ({'kernels': '-'.join(['2'] * 10**5), 'vnorms': '2' * (10**5 + 1)},
           f'=...{fields}kernel_sizes'),
          ({'fc': 1}, '.fc=1: expected a value like False'),
          ({'data': 'imagenet32', 'task': 'hybrid'},
           f'=...{fields}...has no labels'),
          ({'imagesize': 30},
           f'=...{fields}num_blocks=16,16,16: expected fewer scales'))])


def test_notes():
  for change, note in (
      ({'n_power_series': 10}, 'trained with --n-power-series=10; further'),
      ({'task': 'hybrid', 'imagesize': 16, 'nblocks': '1-1'},
       'trained on crops of 32 x 32'),
      ({'data': 'svhn', 'imagesize': 64}, 'trained on crops of 32 x 32'),
      ({'wd': 0.5}, 'trained with --wd=0.5 (which the Adam of the published'),
      ({'data': 'celebahq', 'imagesize': 256, 'nbits': 5},
       'trained on levels j as (j 31/32 + U) / 32; this package dequantises'),
      ({'my_flag': 1}, 'script does not know, which are ignored: my-flag')):
    (found,) = convert(**change).notes
    assert note in found
