"""The flagfiles in bin/flags: all are read, and say what they are."""

import pathlib

from absl import flags
import pytest

from tf_resflow.configuration import flags as flags_lib

_FOLDER = pathlib.Path(__file__).parents[2] / 'bin' / 'flags'
_FILES = sorted(_FOLDER.glob('*.flags'))
_PAPER = ('celebahq256', 'cifar10', 'imagenet32', 'imagenet64', 'mnist')


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
