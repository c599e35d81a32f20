"""Flagfiles by name or path; those of bin/flags say what they are."""

from absl import flags
import pytest

from tests.commands import processes
from tf_resflow import errors
from tf_resflow.commands import flagfiles
from tf_resflow.configuration import flags as flags_lib

_FOLDER = processes.ROOT / 'bin' / 'flags'
_FILES = sorted(_FOLDER.glob('*.flags'))
_PAPER = ('celebahq256', 'cifar10', 'imagenet32', 'imagenet64', 'mnist')


def test_names():
  assert {'digits', 'cifar10', 'mnist5k'} <= set(flagfiles.names())


@pytest.mark.parametrize('value', ['digits', 'digits.flags'])
def test_names_stand_for_the_files_of_the_package(value, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (argument,) = flagfiles.resolve([f'--flagfile={value}'])
  path = argument.removeprefix('--flagfile=')
  with open(path, encoding='utf-8') as file:
    assert '--dataset=digits\n' in file.read()


def test_a_path_that_exists_wins(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'digits').write_text('--dataset=mnist\n')
  assert flagfiles.resolve(['--flagfile=digits']) == ['--flagfile=digits']
  assert flagfiles.resolve(['a', '-flagfile', 'digits', '--b']) == [
      'a', '--flagfile=digits', '--b']


@pytest.mark.parametrize('value', [
    'none', '', '/none/digits.flags', 'folder', 'binary'])
def test_what_is_no_file_of_flags(value, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
  with pytest.raises(errors.InvalidValueError) as info:
    flagfiles.resolve([f'--flagfile={value}'])
  assert str(info.value).startswith(
      f'flagfile={value}: expected a file of flags')


# What the files hold.


def _read(path):
  flag_values = flags.FlagValues()
  flags_lib.define(flag_values)
  flag_values(['train', f'--flagfile={path}'])
  return flags_lib.config(flag_values)


@pytest.mark.parametrize('path', _FILES, ids=[path.stem for path in _FILES])
def test_is_read_and_opens_with_what_it_is(path):
  config = _read(path)
  text = path.read_text()
  assert text.startswith('# ') and len(text[:text.index('--')]) > 60
  assert config.model.estimator.startswith('roulette:poisson:2,exact=')


@pytest.mark.parametrize('name', _PAPER)
def test_rows_of_the_paper_say_where_they_depart(name):
  text = (_FOLDER / f'{name}.flags').read_text()
  comment = ' '.join(text[:text.index('\n--')].replace('#', '').split())
  for word in ('published, not measured here', 'Geometric(0.5)', 'Rademacher',
               '--estimator=roulette:safe,exact=20'):
    assert word in comment


def test_warm_ups_are_of_a_thousand_batches():
  for name in _PAPER:
    optimizer = _read(_FOLDER / f'{name}.flags').optimizer
    assert optimizer.warmup_steps * optimizer.accumulation_steps == 1000
