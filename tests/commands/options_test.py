"""Flags are the fields of groups."""

import dataclasses

from absl import flags
import pytest

from tf_resflow import errors
from tf_resflow.commands import options
from tf_resflow.configuration import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Greeting(options.Options):
  """What is said."""

  text: str = options.required(help='What to say.')
  num_times: int = fields.field(1, help='How often.', minimum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Voice(options.Options):
  """How it sounds."""

  loudly: bool = fields.field(False, help='Whether to shout.')
  pitches: tuple[float, ...] = fields.field((), help='Of the voice.')
  language: str | None = fields.field(None, help='By default English.')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speech(Greeting, Voice):
  """The speech."""

  num_times: int = fields.changed(Greeting, 'num_times', 2)
  title: str = fields.field('', help='Of it.')

  def check(self):
    super().check()
    if self.loudly:
      self.refuse(('language',), 'with --loudly', 'Nobody understands it.')


def _parse(*arguments):
  flag_values = flags.FlagValues()
  Speech.define(flag_values)
  flag_values(['', *arguments])
  return Speech.parse(flag_values, arguments)


def test_values():
  speech = _parse('--text=a', '--pitches=1,2.5', '--loudly')
  assert speech == Speech(
      text='a', pitches=(1.0, 2.5), loudly=True, given=speech.given,
      arguments=('--text=a', '--pitches=1,2.5', '--loudly'))
  assert set(speech.given) == {'text', 'pitches', 'loudly'}
  assert (speech.num_times, speech.language) == (2, None)


def test_groups_are_those_of_the_classes():
  assert list(options.groups(Speech)) == [
      ('What is said.', ['text', 'num_times']),
      ('How it sounds.', ['loudly', 'pitches', 'language']),
      ('The speech.', ['title'])]


def test_help_says_what_is_taken_by_default():
  flag_values = flags.FlagValues()
  Speech.define(flag_values)
  helps = {name: flag_values[name].help for name in flag_values}
  assert helps['text'] == 'What to say. (required)'
  assert helps['num_times'] == 'How often. (default: 2)'
  assert helps['language'] == 'By default English.'
  assert flag_values['num_times'].parser.syntactic_help == (
      'a whole number from 1')


@pytest.mark.parametrize('arguments', [['--loudly'], ['--text=']])
def test_missing(arguments):
  with pytest.raises(
      options.MissingFlagError, match='^text is missing. What to say.$'):
    _parse(*arguments)


def test_refused_together():
  assert _parse('--text=a', '--language=en').language == 'en'
  message = '^language=en: expected no such flag with --loudly. Nobody'
  with pytest.raises(errors.InvalidValueError, match=message) as info:
    _parse('--text=a', '--loudly', '--language=en')
  assert info.value.name == 'language'
