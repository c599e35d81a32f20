"""Flags: complete, readable, and replayed exactly."""

import dataclasses

from absl import flags
import pytest

from tf_resflow import training
from tf_resflow.training import flags as flags_lib

_FIELDS = dataclasses.fields(training.TrainingConfig)

# Every field differs from its default.
_OTHER = training.TrainingConfig(
    dataset='cifar10', data_dir='/data sets/#1', num_bits=5, image_size=32,
    num_validation=10, flip=True, num_blocks=(3, 2), hidden_channels=7,
    kernel_sizes=(5, 1, 3), resize=32, preactivation=False,
    activate_first_block=True, fully_connected=True, num_dense_hidden_layers=3,
    feature_act_norm=True, first_act_norm=False, preprocessing='standardize',
    mean=(0.1 + 0.2, 0.5, 1e-7), std=(0.25, 1.0, 2.0), hybrid=True,
    head_channels=3, nll_weight=0.125,
    activation='elu', lipschitz_coeff=1.0 / 3.0, factor_out=True,
    squeeze_first=True, num_dense_blocks=0, dense_hidden_units=5,
    act_norm=False, logit_alpha=1e-6, num_exact_terms=9,
    truncation='geometric', truncation_parameter=0.1 + 0.2, probe='gaussian',
    memory='neumann', num_steps=17, batch_size=6, accumulation_steps=5,
    learning_rate=1.2345678901234567e-5, warmup_steps=0, schedule='cosine',
    beta_2=0.9, epsilon=1e-12, weight_decay=1e-4, clip_norm=2.5, ema_decay=0.0,
    seed=1234567890, strategy='mirrored', jit_compile=True,
    checkpoint_every=3, checkpoints_to_keep=1, log_every=2, sample_every=0,
    evaluate_every=4)


@pytest.fixture
def defined_flags():
  """Defines the flags of bin/train, and forgets them afterwards."""
  before = set(flags.FLAGS)
  flags_lib.define_flags()
  yield sorted(set(flags.FLAGS) - before)
  for name in set(flags.FLAGS) - before:
    delattr(flags.FLAGS, name)
  flags.FLAGS.unparse_flags()


def _parse(*arguments):
  flags.FLAGS(['train', '--workdir=/nowhere', *arguments])
  return flags_lib.config_from_flags()


def test_every_field_is_a_flag_with_help(defined_flags):
  names = ['workdir', *(f.name for f in _FIELDS)]
  assert defined_flags == sorted(names) == sorted(flags_lib.flag_names())
  for name in names:
    assert len(flags.FLAGS[name].help) > 10, name


def test_defaults_of_flags_are_those_of_the_configuration(defined_flags):
  assert _parse() == training.TrainingConfig()


def test_the_sample_differs_everywhere():
  default = training.TrainingConfig()
  for field in _FIELDS:
    assert getattr(_OTHER, field.name) != getattr(default, field.name), (
        f'{field.name}: the round trip below does not test it')


@pytest.mark.parametrize('config', [training.TrainingConfig(), _OTHER])
def test_flagfile_round_trip(tmp_path, defined_flags, config):
  path = tmp_path / 'run.flags'
  path.write_text(flags_lib.to_flagfile(config))
  loaded = flags_lib.config_from_flagfile(path)
  assert loaded == config
  for field in _FIELDS:
    assert type(getattr(loaded, field.name)) is type(
        getattr(config, field.name)), field.name
  # The same file through the command line; later flags win.
  assert _parse(f'--flagfile={path}') == config
  changed = _parse(f'--flagfile={path}', '--seed=3')
  assert changed == dataclasses.replace(config, seed=3)


def test_bad_list(defined_flags):
  with pytest.raises(ValueError, match=r"^num_blocks is '4,x'; expected comma"):
    _parse('--num_blocks=4,x')


@pytest.mark.parametrize('text', [
    '--no_such_flag=3\n', '--batch_size=many\n', '--batch_size=0\n',
    '--num_blocks=a\n'])
def test_bad_flagfile(tmp_path, text):
  path = tmp_path / 'run.flags'
  path.write_text(text)
  with pytest.raises(ValueError, match='does not describe a run') as error:
    flags_lib.config_from_flagfile(path)
  assert str(path) in str(error.value)


def test_missing_flagfile(tmp_path):
  with pytest.raises(ValueError, match='does not describe a run'):
    flags_lib.config_from_flagfile(tmp_path / 'run.flags')
