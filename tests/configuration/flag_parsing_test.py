"""Flags: complete, readable, and replayed exactly."""

import dataclasses
import sys
import textwrap

from absl import flags
import numpy as np
import pytest

from tests import testing
from tests.configuration import run_config_test as config_test
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.specs import registries

# Every field differs from its default; other objectives have no nll_weight.
_OTHER = configuration.make_config(**{
    **config_test.OTHER, 'dataset': 'cifar10', 'data_dir': '/data sets/#1',
    'resize': 16, 'objective': 'auto',
    'preprocessing': 'standardize', 'mean': (0.1 + 0.2, 0.5, 1e-7),
    'std': (0.25, 1.0, 2.0),
    'lipschitz_coeff': 1.0 / 3.0, 'learning_rate': 1.2345678901234567e-5,
    'estimator': 'roulette:geometric:0.30000000000000004,exact=9',
    'imports': ('json', 'math'), 'norms': ('learned',)})


def _defined():
  flag_values = flags.FlagValues()
  flags_lib.define(flag_values)
  return flag_values


def _parse(*arguments, run=None):
  flag_values = _defined()
  flag_values(['train', *arguments])
  config = run and run.continued(
      **flags_lib.run_values(flag_values, run.model.name()))
  return config or flags_lib.config(flag_values)


def test_every_value_is_a_flag_with_help():
  flag_values = _defined()
  names = {*configuration.make_config().values(), 'hidden_units', 'base'}
  names = names - {'imports'} | {'import'}
  assert set(flags_lib.by_name()) == names
  for name in names:
    assert len(flag_values[name].help) > 10, name
    assert flag_values[name].value is None  # Defaults stand in the fields.


def test_help():
  ends = {
      'num_bits': ' (default: 8; an integer in [1, 8])',
      'lipschitz_coeff':
          ' (default: 0.98 for image, 0.9 for vector; a number in (0, 1))',
      'act_norm': ' (default: true)',
      'mean':
          ' (default: none; for model=image only; numbers, such as 0.5,0.25)'}
  texts = {name: _defined()[name].help.partition('.') for name in ends}
  assert {name: end for name, (_, _, end) in texts.items()} == ends


def test_the_command_line():
  assert _parse() == configuration.make_config()
  config = _parse('--condition_on=label', '--condition_at=gates, base')
  assert config == configuration.make_config(
      condition_on=('label',), condition_at=('gates', 'base'))
  assert _parse('--condition_on=') == configuration.make_config()


def test_flagfile_round_trip(tmp_path):
  path = tmp_path / 'run.flags'
  for config in (configuration.make_config(), _OTHER):
    path.write_text(flags_lib.to_flagfile(config))
    loaded = flags_lib.from_flagfile(path)
    assert loaded == config
    assert repr(loaded) == repr(config)  # Types, too.
    # The same file through the command line; later flags win.
    assert _parse(f'--flagfile={path}') == config
    changed = _parse(f'--flagfile={path}', '--seed=3', '--noflip')
    assert changed == config.replace(seed=3, flip=False)


@pytest.mark.reliability(promise='lost-flags')
def test_a_flagfile_that_has_lost_lines_is_refused(tmp_path):
  path = tmp_path / 'run.flags'
  first, *flags_ = flags_lib.to_flagfile(_OTHER).splitlines(keepends=True)
  assert first == f'# {len(flags_)} flags\n'
  for lines in ([], [first], [first, *flags_[:-1]], [first, *flags_[3:]]):
    path.write_text(''.join(lines))
    testing.check_refusal(
        flags_lib.from_flagfile, {'path': path}, f'file={path}: expected the '
        'flags of a run of this version. run.flags has lost lines. Restore')
  # Of a former version, or with one more.
  for lines in (flags_, [first, *flags_, '--seed=4\n']):
    path.write_text(''.join(lines))
    assert flags_lib.from_flagfile(path).optimizer == _OTHER.optimizer


@pytest.mark.reliability(promise='foreign-import')
def test_bad_flagfile(tmp_path):
  path = tmp_path / 'run.flags'
  start = f'file={path}: expected the flags of a run of this version. '

  def read(text):
    if text is not None:
      path.write_text(text, encoding='latin-1')
    flags_lib.from_flagfile(path)

  testing.check_refusals(read, [
      (None, f'{start}...No such file'),
      ('--no_such_flag=3\n', f'{start}...no_such_flag'),
      ('--batch_size=0\n', f'{start}batch_size=0: expected an integer'),
      ('\xff', f"{start}'utf-8'"),
      ('--import=$(rm)\n', f'{start}import=$(rm): expected a module that can'),
      ('--flagfile=/dev/zero\n', f'{start}flagfile cannot be used in a run.')])


# A user-defined model type, with new fields.
_MODULE = textwrap.dedent("""
    import dataclasses

    from tf_resflow.specs import fields
    from tf_resflow.models import model_config
    from tf_resflow.specs import registries


    @dataclasses.dataclass(frozen=True, kw_only=True)
    class WaveConfig(model_config.ModelConfig):
      num_waves: int = fields.field(3, help='Waves.', minimum=1)
      image_shape: tuple[int, ...] = fields.field((1, 1, 1), is_flag=False)
      num_blocks: tuple[int, ...] = fields.field((9,), help='Blocks.')


    registries.MODELS.register('wave', WaveConfig)
    registries.ESTIMATORS.register('guess', 'my_waves:Guess')
""")


@pytest.fixture(name='module')
def module_fixture(tmp_path, monkeypatch):
  """A user-defined module in the current folder."""
  (tmp_path / 'my_waves.py').write_text(_MODULE)
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, 'path', list(sys.path))
  for table in (registries.MODELS, registries.ESTIMATORS):
    monkeypatch.setattr(table, '_entries', dict(table._entries))
  yield 'my_waves'
  sys.modules.pop('my_waves', None)


def test_import(module, tmp_path):
  (tmp_path / 'wave.flags').write_text('# Mine.\n--import=my_waves\n--mine=2')
  (tmp_path / 'outer.flags').write_text('--flagfile=wave.flags\n')
  for arguments in (
      ['--workdir', '/some where', '--nothing', '--import=json, my_waves'],
      ['--num_steps=3', '-import=json', '--import=', '--import',
       'my_waves'],
      ['--nested=1', '--flagfile=outer.flags', '--flip']):
    assert module in flags_lib.modules_of(arguments)
  assert flags_lib.modules_of(['--num_steps=3']) == ()
  assert module not in sys.modules
  testing.check_refusals(lambda name: flags_lib.import_modules([name]), [
      (name, f'import={name}: expected a module that can be imported.')
      for name in ('', '.wave', 'no_such_module')])
  flags_lib.import_modules(['json', module])
  assert 'wave' in registries.MODELS.names()


@pytest.mark.reliability(promise='foreign-import')
def test_user_defined_models_are_trained_like_ours(module, tmp_path):
  flags_lib.import_modules([module])
  config = _parse(f'--import={module}', '--model=wave', '--num_waves=5')
  assert config.model.image_shape == (8, 8, 1)
  assert (config.model.num_waves, config.model.num_blocks) == (5, (9,))
  assert config.run.imports == (module,)
  assert 'for wave' in _defined()['num_blocks'].help
  assert _parse('--estimator=guess:3').model.estimator == 'guess:3'
  testing.check_refusals(lambda arguments: _parse(*arguments), [
      (['--num_waves=5'], 'num_waves is not a field of model=image'),
      (['--model=wave', '--factor_out'],
       'factor_out is not a field of model=wave'),
      (['--model=wave', '--condition_on=label'], 'condition_on=label cannot'),
      (['--model=wave', '--condition_at=base'],
       'condition_at is not a field of model=wave')])
  # Its files are read where nothing has been registered yet.
  (tmp_path / 'run.flags').write_text(flags_lib.to_flagfile(config))
  text = config.model.to_json()
  values = config.values()
  del registries.MODELS._entries['wave']
  del registries.ESTIMATORS._entries['guess']
  del sys.modules['my_waves']
  with pytest.raises(ValueError, match='model=wave: expected one of'):
    models.model_from_json(text)
  # And run none of its code, until the reader names the module.
  path = tmp_path / 'run.flags'
  testing.check_refusals(flags_lib.from_flagfile, [(path, (
      f'file={path} needs {module}, and to import a module runs its code. If '
      f'you trust it, give --import={module}; in Python load(workdir, '
      f"imports=['{module}'])."))])
  assert module not in sys.modules
  loaded = flags_lib.from_flagfile(path, imports=[module])
  assert loaded.values() == values
  assert flags_lib.from_flagfile(path) == loaded
  assert models.model_from_json(text) == loaded.model


def test_a_run_that_goes_on(tmp_path, monkeypatch):
  """What was chosen when it began stays, and its data are not opened.

  Flags that are not given are as in a new run: those of a machine, and those
  that are refused then.
  """
  monkeypatch.chdir(tmp_path)
  rows = np.random.default_rng(0).lognormal(size=[60, 2])
  np.savetxt('own.csv', rows, header='a,b', comments='', delimiter=',')
  flags_ = ['--dataset=table:own.csv', '--num_blocks=3', '--seed=4']
  begun = _parse(*flags_, '--num_steps=auto')
  assert begun.model.schema.types and begun.optimizer.input_noise > 0.0
  (tmp_path / 'model.json').write_text(begun.model.to_json())
  (tmp_path / 'run.flags').write_text(flags_lib.to_flagfile(begun))
  (tmp_path / 'own.csv').unlink()
  run = flags_lib.from_flagfile('run.flags', 'model.json')
  for arguments in (['--flagfile=run.flags'], [*flags_, '--num_steps=auto'], [
      *flags_, *(f'--{name}=auto' for name in (
          'num_steps', 'num_validation', 'input_noise', 'patience'))]):
    config = _parse(*arguments, run=run)
    assert config == begun and config.info is None
  several = run.replace(strategy='multi_worker', checkpoint_every=7)
  alone = _parse(*flags_, '--num_steps=auto', run=several).run
  assert (alone.strategy, alone.checkpoint_every) == ('auto', 1000)
  other = _parse(flags_[0], '--seed=5', '--patience=7', run=run)
  assert other.differences(run) == {
      'num_blocks': (8, 3), 'num_steps': (1000, 500), 'seed': (5, 4)}
  assert other.run.patience == 7
  # Of other data nothing stays.
  assert _parse('--dataset=2d/moons', run=run) == _parse('--dataset=2d/moons')
  assert _parse('--model=image', run=run) == _parse(run=run) == _parse()


def test_imports_of_a_flagfile_and_of_the_command_line_add_up(tmp_path):
  path = tmp_path / 'run.flags'
  path.write_text(flags_lib.to_flagfile(
      configuration.make_config(imports=('json',))))
  config = _parse(f'--flagfile={path}', '--import=math,json')
  assert config.run.imports == ('json', 'math')


def test_flags_of_two_types_are_refused(monkeypatch):

  def define(field):
    config_class = dataclasses.make_dataclass(
        'Clash', [(*field, 1)], bases=(models.ModelConfig,),
        frozen=True, kw_only=True)
    monkeypatch.setitem(registries.MODELS._entries, 'clash', config_class)
    _defined()

  testing.check_refusals(define, [
      (field, f'model=clash has a field {field[0]} that clashes with a flag')
      for field in (('num_steps', int), ('flip', bool), ('num_blocks', bool))])
