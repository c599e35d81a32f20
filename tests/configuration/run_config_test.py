"""The tree of a run: one clear line per mistake, and what may change."""

import dataclasses

import numpy as np

from tests import testing
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.datasets import data_config

# What is wrong in one field alone is in fields_test.py, in the data in
# data_config_test.py.
_BAD = [
    (dict(evaluate_every=5), 'evaluate_every=5 requires num_validation, such'),
    (dict(dataset='celeb_a_hq/64', hybrid=True),
     'hybrid=true requires labels, which celeb_a_hq/64 does not have.'),
    (dict(num_blocks=(1, 1, 1, 1, 1)), 'num_blocks=1,1,1,1,1: expected fewer'),
    (dict(hidden_units=(4, 4)), 'hidden_units is not a field of'),
    (dict(num_block=4), 'num_block is not ...Did you mean num_blocks?'),
    (dict(model='vector'), 'model=vector cannot be used with digits. These '
     'data have no event_size. Give a data set for this model, such as '),
    (dict(dataset='2d/moons', model='image'), 'model=image cannot be used with '
     '2d/moons. These data have no image_shape, num_levels. Give a data '),
    (dict(condition_at=('base',)), 'condition_at=base has no effect'),
    (dict(annealing_steps=3, hybrid=True, nll_weight=0.0),
     'annealing_steps=3 has no effect with nll_weight=0.'),
    (dict(keep_best=True), 'keep_best=true requires evaluate_every'),
    (dict(order_gradient='norm'), 'order_gradient=norm requires norms=learned'),
    (dict(warmup_steps=-1), 'warmup_steps=-1: expected'),
    (dict(seed=-1), 'seed=-1: expected'),
    (dict(seed=2**31), 'seed=2147483648: expected'),
    (dict(imports='json'), 'import=json: expected strings, such as a,b.'),
    # Options of a file are none of data that are handed over.
    (dict(dataset=datasets.array(np.arange(20.0)[:, None]), drop=('x0',)),
     'drop=x0 cannot be used with dataset=array. It applies to tables only.'),
]


def test_bad_values():
  testing.check_refusals(
      lambda values: configuration.make_config(**values), _BAD)


def test_model_follows_from_the_data():
  config = configuration.make_config(
      dataset='cifar10', num_bits=5, num_blocks=[2, 1], hidden_channels=8,
      seed=4)
  assert config.model == models.ResidualFlowConfig(
      image_shape=(32, 32, 3), num_levels=32, num_blocks=(2, 1),
      hidden_channels=8, seed=4)
  default = configuration.make_config().model
  assert (default.num_levels, default.num_classes) == (17, 0)
  hybrid = configuration.make_config(
      dataset='cifar10', hybrid=True, resize=16, head_channels=5,
      preprocessing='standardize', mean=[0.5] * 3, std=[0.25] * 3).model
  assert hybrid.image_shape == (16, 16, 3)
  assert (hybrid.num_classes, hybrid.head_channels) == (10, 5)
  assert (hybrid.mean, hybrid.std) == ((0.5,) * 3, (0.25,) * 3)


def test_a_tree_with_a_model_of_other_data():
  config = configuration.make_config()
  stored = dataclasses.replace(config, info=None)
  assert stored.opened().info == stored.open_data() == config.info
  assert stored.info is None

  def check(change):
    model = dataclasses.replace(config.model, **change)
    dataclasses.replace(config, model=model).open_data()

  testing.check_refusals(check, [
      (dict(num_levels=16), 'num_levels=16: expected 17. It follows'),
      (dict(condition_labels=3), 'condition_labels=3: expected 0. It follows'),
      (dict(num_classes=10), 'num_classes=10: expected 0. It follows')])


def test_replace():
  config = configuration.make_config(num_blocks=(1, 1), seed=3)
  other = config.replace(dataset='cifar10', num_steps=7)
  assert other == configuration.make_config(
      num_blocks=(1, 1), seed=3, dataset='cifar10', num_steps=7)
  assert other.model.image_shape == (32, 32, 3)
  assert config.replace() == config


# One admissible other value per field.
OTHER = dict(
    dataset='mnist5k', data_dir='/other', objective='nats', num_bits=7,
    num_validation=11, flip=True, crop_padding=4, crop_mode='constant',
    num_blocks=(2, 2), hidden_channels=3,
    kernel_sizes=(3, 3), resize=28, preactivation=False,
    activate_first_block=True, fully_connected=True, num_dense_hidden_layers=1,
    feature_act_norm=True, first_act_norm=False, preprocessing='none',
    mean=(0.5,), std=(0.5,), hybrid=True, head_channels=3, nll_weight='1/D',
    invertible_linear='free', activation='elu', lipschitz_coeff=0.5,
    factor_out=True, squeeze_first=True, num_dense_blocks=1,
    dense_hidden_units=3, act_norm=False, logit_alpha=0.1,
    moving_mean=True, noise_channels=2, noise_distribution='gaussian',
    estimator='fixed:5', memory='neumann', num_steps=5, batch_size=3,
    accumulation_steps=2, learning_rate=0.5, warmup_steps=3,
    schedule='cosine', optimizer='sgd', momentum=0.5, beta_2=0.5, epsilon=0.5,
    weight_decay=0.5, clip_norm=0.5, ema_decay=0.5, skip_nonfinite=2, seed=9,
    imports=('json',),
    strategy='single', jit_compile=True, checkpoint_every=2,
    checkpoints_to_keep=2, log_every=2, sample_every=2, evaluate_every=2,
    annealing_steps=5, keep_best=True, patience=3, refit=True, norms=('inf',),
    decay_steps=2000,
    norm_bound='estimate',
    uncertified=True, order_gradient='norm', condition_on=('label',),
    condition_at=('gates', 'act_norm'), condition_features=3,
    condition_hidden_units=(5,), dequantization='variational')

# What may differ between the start of a run and its continuation: nothing here
# changes what a step computes, except for rounding, the length of a
# constant-rate run, and the stream of Gaussian probes under jit_compile.
_RESUMABLE = (
    'data_dir', 'num_steps', 'checkpoint_every', 'checkpoints_to_keep',
    'log_every', 'sample_every', 'evaluate_every', 'strategy', 'jit_compile',
    'memory', 'imports', 'keep_best', 'patience', 'refit', 'skip_nonfinite')

# Registries with one name so far, those whose other names leave some of the
# fields above without an effect, and fields of folders and vectors alone.
_WITHOUT_OTHER = {
    'model', 'block', 'network', 'constraint', 'augmentation', 'skip_bad',
    'input_noise', *data_config.TABLE_FIELDS}


def test_every_field_has_another_value():
  names = set(configuration.make_config().values())
  assert set(OTHER) == names - _WITHOUT_OTHER


def test_differences():
  # Starts from which each field can change alone.
  starts = [
      configuration.make_config(
          dataset='mnist', num_validation=10, evaluate_every=5,
          num_blocks=(1, 1), mean=(0.25,), std=(0.25,), norms=('learned',),
          condition_on=condition) for condition in ((), ('label',))]
  for name, value in OTHER.items():
    start = starts[name.startswith('condition_') and name != 'condition_on']
    start = start.replace(
        **{'keep_best': True} if name in ('patience', 'refit') else {})
    other = start.replace(**{name: value})
    assert other != start
    assert start.differences(start) == {}
    assert other.differences(start) == ({} if name in _RESUMABLE else {
        name: (value, start.values()[name])}), name


def test_the_naive_gradient_is_another_estimate():
  start = configuration.make_config()
  naive = start.replace(memory='naive')
  assert list(naive.differences(start)) == ['memory']
  assert list(start.differences(naive)) == ['memory']


def test_defaults_of_own_vectors(tmp_path):
  """Validated, stopped early and regularised, unless one says otherwise."""
  for num_rows, expected in (
      (100, (16, 10, True, 300, 500)), (2000, (160, 50, True, 300, 2000))):
    path = tmp_path / f'{num_rows}.csv'
    np.savetxt(path, np.random.default_rng(0).normal(size=[num_rows, 3]),
               delimiter=',', header='a,b,c', comments='')
    config = configuration.make_config(
        dataset=f'table:{path}', num_steps='auto')
    assert (config.data.num_validation, config.run.evaluate_every,
            config.run.keep_best, config.run.patience,
            config.optimizer.num_steps) == expected
    assert config.run.refit is (num_rows == 100)
    assert (config.optimizer.input_noise > 0.1) == (num_rows == 100)
    config = configuration.make_config(
        dataset=f'table:{path}', num_validation=0, input_noise=0.0)
    assert (config.run.evaluate_every, config.run.keep_best,
            config.run.patience, config.run.refit,
            config.optimizer.num_steps) == (0, False, 0, False, 1000)
    with_none = configuration.make_config(
        dataset=f'table:{path}', test_rows='none')
    assert with_none.run.keep_best and not with_none.run.refit
  for batch_size, expected in (64, 2000), (2, 3200), (1, 6000):
    config = configuration.make_config(
        dataset=f'table:{path}', num_steps='auto', batch_size=batch_size)
    assert config.optimizer.num_steps == expected
  digits = configuration.make_config(num_steps='auto')
  assert (digits.data.num_validation, digits.run.keep_best,
          digits.optimizer.num_steps, digits.optimizer.input_noise) == (
              0, False, 1000, 0.0)
