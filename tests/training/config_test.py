"""Checks of a configuration, and what may change when a run goes on."""

import dataclasses

import pytest

from tf_resflow import training
from tf_resflow.training import config as config_lib

_BAD = [
    (dict(num_steps=0), 'num_steps is 0; it must be 1 or more.'),
    (dict(batch_size=0), 'batch_size is 0; it must be 1 or more.'),
    (dict(accumulation_steps=0), 'accumulation_steps is 0; it must be 1'),
    (dict(log_every=0), 'log_every is 0; it must be 1 or more.'),
    (dict(checkpoint_every=-1), 'checkpoint_every is -1; it must be 1'),
    (dict(checkpoints_to_keep=0), 'checkpoints_to_keep is 0; it must be 1'),
    (dict(num_validation=-1), 'num_validation is -1; it must be 0 or more.'),
    (dict(warmup_steps=-1), 'warmup_steps is -1; it must be 0 or more.'),
    (dict(sample_every=-1), 'sample_every is -1; it must be 0 or more.'),
    (dict(evaluate_every=-1), 'evaluate_every is -1; it must be 0 or more.'),
    (dict(seed=-1), 'seed is -1; it must be 0 or more.'),
    (dict(learning_rate=0.0), 'learning_rate is 0.0; it must be positive'),
    (dict(learning_rate=-1.0), 'learning_rate is -1.0; it must be positive'),
    (dict(learning_rate=float('nan')), 'learning_rate is nan; it must be'),
    (dict(learning_rate=float('inf')), 'learning_rate is inf; it must be'),
    (dict(clip_norm=0.0), 'clip_norm is 0.0; it must be positive and finite.'),
    (dict(epsilon=0.0), 'epsilon is 0.0; it must be positive and finite.'),
    (dict(weight_decay=-1.0), 'weight_decay is -1.0; it must be 0 or more.'),
    (dict(ema_decay=1.0), 'ema_decay is 1.0; it must lie in [0, 1).'),
    (dict(beta_2=-0.1), 'beta_2 is -0.1; it must lie in [0, 1).'),
    (dict(strategy='tpu'), "strategy is 'tpu'; expected one of auto, single"),
    (dict(schedule='step'), "schedule is 'step'; expected one of constant"),
    (dict(dataset='imagenet'), "dataset is 'imagenet'; expected one of "),
    (dict(evaluate_every=5), 'evaluate_every is 5 but num_validation is 0;'),
    (dict(image_size=16), 'image_size is 16, but the images of digits are 8'),
    (dict(num_bits=5), 'num_bits is 5; digits has 17 levels'),
    (dict(dataset='mnist5k', num_bits=9), 'num_bits is 9; mnist5k has 256'),
    (dict(lipschitz_coeff=1.0), 'lipschitz_coeff is 1.0; it must lie'),
    (dict(activation='tanh'), "activation is 'tanh'; expected one of lips"),
    (dict(nll_weight=-1.0), 'nll_weight is -1.0; it must be 0 or more.'),
    (dict(resize=0), 'resize is 0; it must be 1 or more.'),
    (dict(resize=16, image_size=8), 'image_size is 8, but the images of'),
    (dict(dataset='celeb_a_hq/64', hybrid=True),
     'hybrid is set, but celeb_a_hq/64 has no labels.'),
    (dict(preprocessing='standardize'), "preprocessing is 'standardize' with"),
    (dict(num_blocks=(1, 1, 1, 1, 1)), 'num_blocks is (1, 1, 1, 1, 1): its 5'),
    (dict(num_blocks=()), 'num_blocks is (); expected one positive number'),
    (dict(logit_alpha=0.5), 'logit_alpha is 0.5; it must lie'),
    (dict(truncation='uniform'), "truncation is 'uniform'; expected"),
    (dict(truncation='geometric'), 'truncation_parameter is 2.0;'),
    (dict(probe='sphere'), "probe is 'sphere'; expected 'rademacher'"),
    (dict(memory='none'), "memory is 'none'; expected one of"),
    (dict(num_exact_terms=-1), 'num_exact_terms is -1; it must be 0'),
    (dict(hidden_channels=0), 'hidden_channels is 0; it must be positive.'),
    (dict(num_dense_blocks=-1), 'num_dense_blocks is -1; it must be 0'),
    (dict(dense_hidden_units=0), 'dense_hidden_units is 0; it must be'),
]


@pytest.mark.parametrize(
    ('change', 'message'), _BAD, ids=[next(iter(c)) for c, _ in _BAD])
def test_bad_values(change, message):
  with pytest.raises(ValueError) as error:
    training.TrainingConfig(**change)
  text = str(error.value)
  assert text.startswith(message), text
  assert '\n' not in text


def test_model_config():
  config = training.TrainingConfig(
      dataset='cifar10', num_bits=5, num_blocks=[2, 1], hidden_channels=8,
      seed=4)
  model_config = config.model_config()
  assert config.num_blocks == (2, 1)
  assert model_config.image_shape == (32, 32, 3)
  assert model_config.num_levels == 32
  assert (model_config.num_blocks, model_config.hidden_channels,
          model_config.seed) == ((2, 1), 8, 4)
  default = training.TrainingConfig().model_config()
  assert (default.num_levels, default.num_classes) == (17, 0)
  hybrid = training.TrainingConfig(
      dataset='cifar10', hybrid=True, resize=16, head_channels=5,
      preprocessing='standardize', mean=[0.5] * 3, std=[0.25] * 3)
  model_config = hybrid.model_config()
  assert model_config.image_shape == (16, 16, 3)
  assert (model_config.num_classes, model_config.head_channels) == (10, 5)
  assert (model_config.mean, model_config.std) == ((0.5,) * 3, (0.25,) * 3)


# One admissible other value per field.
_OTHER = dict(
    dataset='mnist5k', data_dir='/other', num_bits=7, image_size=28,
    num_validation=11, flip=True, num_blocks=(2, 2), hidden_channels=3,
    kernel_sizes=(3, 3), resize=28, preactivation=False,
    activate_first_block=True, fully_connected=True, num_dense_hidden_layers=1,
    feature_act_norm=True, first_act_norm=False, preprocessing='none',
    mean=(0.5,), std=(0.5,), hybrid=True, head_channels=3, nll_weight=0.5,
    activation='elu', lipschitz_coeff=0.5, factor_out=True, squeeze_first=True,
    num_dense_blocks=1, dense_hidden_units=3, act_norm=False, logit_alpha=0.1,
    num_exact_terms=5, truncation='geometric', truncation_parameter=0.25,
    probe='gaussian', memory='neumann', num_steps=5, batch_size=3,
    accumulation_steps=2, learning_rate=0.5, warmup_steps=3,
    schedule='cosine', beta_2=0.5, epsilon=0.5, weight_decay=0.5,
    clip_norm=0.5, ema_decay=0.5, seed=9, strategy='single', jit_compile=True,
    checkpoint_every=2, checkpoints_to_keep=2, log_every=2, sample_every=2,
    evaluate_every=2)


@pytest.mark.parametrize(
    'name', [f.name for f in dataclasses.fields(training.TrainingConfig)])
def test_differences(name):
  # A start from which each field can change alone.
  start = training.TrainingConfig(
      dataset='mnist', num_validation=10, num_blocks=(1, 1),
      truncation_parameter=0.5)
  other = dataclasses.replace(start, **{name: _OTHER[name]})
  assert getattr(other, name) != getattr(start, name)
  allowed = name in config_lib.RESUMABLE_CHANGES
  assert other.differences(start) == ([] if allowed else [name])
  assert start.differences(start) == []


def test_length_of_a_cosine_run_is_fixed():
  start = training.TrainingConfig(schedule='cosine')
  longer = dataclasses.replace(start, num_steps=2000)
  assert longer.differences(start) == ['num_steps']


def test_the_naive_gradient_is_another_estimate():
  start = training.TrainingConfig()
  naive = dataclasses.replace(start, memory='naive')
  assert naive.differences(start) == start.differences(naive) == ['memory']
