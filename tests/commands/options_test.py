"""Flags are the fields of groups, each once for all tools that share it."""

import dataclasses
import importlib
import json
import os
import shutil
import types

from absl import flags
import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.commands import options
from tf_resflow.commands import runner
from tf_resflow.configuration import fields
from tf_resflow.training import best_checkpoint


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
    self.refuse(self.loudly, ('language',), 'with --loudly',
                'Nobody understands it.')


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


# The groups that tools share.


@dataclasses.dataclass(frozen=True, kw_only=True)
class File(options.OutputFile):
  """A tool that writes text."""

  suffixes = ('.txt', '.csv')


@pytest.mark.parametrize(('path', 'said'), [
    ('', 'expected a name that ends in .txt or .csv.'),
    ('a.png', 'expected a name that ends in .txt or .csv.'),
    ('/none/a.txt', 'expected a file in a folder that exists. There is no '
     'folder /none.'),
    ('folder.txt', 'expected a file. It is a folder.'),
    ('old.txt', 'expected a new file. It exists: name another one, or give '
     '--overwrite to replace it.'),
])
def test_output_files_are_checked_before_the_work(
    path, said, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'folder.txt').mkdir()
  (tmp_path / 'old.txt').write_text('old')
  with pytest.raises(errors.InvalidValueError) as info:
    File(output=path)
  assert str(info.value) == f'output={path}: {said}'
  assert sorted(os.listdir(tmp_path)) == ['folder.txt', 'old.txt']


def test_output_files_that_may_be_written(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'old.txt').write_text('old')
  File()
  File(output='new.csv')
  File(output='old.txt', overwrite=True)


def test_a_file_that_may_not_be_written(tmp_path, monkeypatch):
  monkeypatch.setattr(os, 'access', lambda path, mode: False)
  with pytest.raises(errors.InvalidValueError, match='that may be written'):
    File(output=str(tmp_path / 'a.txt'))


@pytest.mark.parametrize('spec', [
    'adaptive:0.02', 'roulette:safe,exact=20', 'fixed:10', 'exact',
    'roulette:poisson:2,exact=2,probe=gaussian'])
def test_estimators_are_named_by_specs(spec):
  estimator = options.Estimation(estimator=spec).make_estimator()
  assert isinstance(estimator, numerics.Estimator)
  assert numerics.Estimator.get(estimator.spec()) == estimator


@pytest.mark.parametrize('spec', ['best', 'adaptive:x', 'fixed:10,exact=2'])
def test_what_is_no_estimator(spec):
  with pytest.raises(errors.InvalidValueError, match=f'^estimator={spec}: '):
    options.Estimation(estimator=spec).make_estimator()


def test_the_default_is_that_of_evaluation():
  assert options.Estimation().make_estimator() == evaluation.default_estimator()


def test_solver():
  inversion = options.Inversion(tolerance=1e-3, max_steps=7)
  assert inversion.make_solver() == numerics.Anderson(atol=1e-3, max_steps=7)


@pytest.mark.parametrize(('values', 'said'), [
    ({'tolerance': 0.0}, 'tolerance=0.0: expected a number above 0.'),
    ({'tolerance': float('nan')}, 'tolerance=nan: expected a number above 0'),
    ({'max_steps': 0}, 'max_steps=0: expected a whole number from 1'),
])
def test_bad_solvers(values, said):
  with pytest.raises(errors.InvalidValueError, match=f'^{said}'):
    options.Inversion(**values)


def test_counts_of_a_split():
  @dataclasses.dataclass(frozen=True, kw_only=True)
  class Counted(options.Split):
    """Some examples."""

    num_examples: int | None = fields.field(None)

  Counted().check_count('num_examples', 5)
  Counted(num_examples=5).check_count('num_examples', 5)
  with pytest.raises(errors.InvalidValueError, match=(
      '^num_examples=6: expected at most 5. That many examples are in the test '
      'split.$')):
    Counted(num_examples=6).check_count('num_examples', 5)


@pytest.mark.parametrize(('certify', 'dataset', 'expected'), [
    (None, 'digits', True), (None, 'cifar10', False), (False, 'digits', False),
    (True, 'cifar10', True)])
def test_certificates_are_for_embedded_sets(certify, dataset, expected):
  config = types.SimpleNamespace(data=types.SimpleNamespace(dataset=dataset))
  assert options.Certification(
      certify=certify).should_certify(config) is expected


def test_a_run_is_opened_in_one_way(digits_workdir):
  run = options.Run(workdir=str(digits_workdir)).open('float64', 'mirrored')
  assert (run.step, run.model.compute_dtype, run.config.data.dataset) == (
      0, 'float64', 'digits')
  assert run.strategy.num_replicas_in_sync == 2


def test_the_best_checkpoint_of_a_run(digits_workdir, tmp_path, run_tool):
  workdir = str(shutil.copytree(digits_workdir, tmp_path / 'run'))
  model, _ = training.load_model(workdir)
  model.trainable_variables[0].assign_add(
      tf.ones(model.trainable_variables[0].shape))
  best_checkpoint.BestCheckpoint(
      workdir, model=model, ema=training.ExponentialMovingAverage(model),
      step=tf.Variable(7, dtype=tf.int64)).offer(1.5, 7)
  latest, best = [
      options.Run(workdir=workdir, checkpoint=which).open()
      for which in ('latest', 'best')]
  assert (latest.step, best.step) == (0, 7)
  np.testing.assert_array_equal(
      best.model.trainable_variables[0].value,
      model.trainable_variables[0].value)
  assert np.any(latest.model.trainable_variables[0].value !=
                model.trainable_variables[0].value)
  result = run_tool(
      'evaluate', f'--workdir={workdir}', '--checkpoint=best',
      '--num_examples=2', '--nocertify')
  assert json.loads(result.stdout.splitlines()[-1])['step'] == 7


@pytest.mark.parametrize(('tool', 'flags_'), [
    ('evaluate', []), ('sample', ['--output={}/x.png']),
    ('export', ['--output={}/x', '--nowarmup'])])
def test_a_run_without_a_best_checkpoint(
    tool, flags_, digits_workdir, tmp_path, run_tool):
  result = run_tool(
      tool, f'--workdir={digits_workdir}', '--checkpoint=best',
      *(flag.format(tmp_path) for flag in flags_))
  assert (result.status, result.stdout) == (2, '')
  assert result.stderr == (
      f'{tool}: error: --checkpoint=best: expected latest, since '
      f'{digits_workdir} has no best one. bin/train keeps it with '
      '--keep_best.\n')
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', runner.TOOLS)
def test_tools_share_what_is_the_same(name):
  """A flag of a group has its help in every tool, or one of its own."""
  shared = {field.name: group for group in (
      options.Run, options.Devices, options.Split, options.OutputFile,
      options.Estimation, options.Inversion, options.Randomness)
      for field in group.flag_fields()}
  tool = importlib.import_module(f'tf_resflow.commands.{name}')
  redefined = {
      field.name for field in tool.Options.fields() if field.name in shared
      and not issubclass(tool.Options, shared[field.name])}
  # What means something else there: a run to make, a folder to write, the file
  # of another program.
  assert redefined <= {
      'workdir', 'output', 'seed', 'data_dir', 'tolerance', 'checkpoint'}


# Tools take the averaged weights of a run, or the others where asked to.


@pytest.fixture(scope='module')
def latents(trained_workdir):
  """Those of one image by the averaged weights, and by the others."""
  image = np.full([1, 8, 8, 1], 0.25, np.float32)
  found = [
      training.load_model(str(trained_workdir), averaged=averaged)[0](image)
      for averaged in (True, False)]
  assert np.abs(found[0] - found[1]).max() > 5e-3
  return found


def test_sample(run_tool, trained_workdir, latents, tmp_path):
  for flag, averaged in (('--averaged', True), ('--noaveraged', False)):
    output = tmp_path / f'{averaged}.npz'
    result = run_tool('sample', f'--workdir={trained_workdir}', flag,
                      '--num_samples=2', f'--output={output}')
    assert result.status == 0, result.stderr
    model, _ = training.load_model(str(trained_workdir), averaged=averaged)
    with np.load(output) as stored:
      np.testing.assert_allclose(model(stored['x']), stored['z'], atol=1e-3)


def test_export(run_tool, trained_workdir, latents, tmp_path):
  images = tf.constant(np.full([1, 8, 8, 1], 4, np.uint8))
  for flag, averaged in (('--averaged', True), ('--noaveraged', False)):
    output = tmp_path / f'{averaged}'
    result = run_tool('export', f'--workdir={trained_workdir}', flag,
                      f'--output={output}', '--nowarmup')
    assert result.status == 0, result.stderr
    found = tf.saved_model.load(str(output)).signatures['encode'](images=images)
    model, _ = training.load_model(str(trained_workdir), averaged=averaged)
    np.testing.assert_allclose(
        found['latents'], model(tf.fill([1, 8, 8, 1], 4.5 / 17)), rtol=1e-4,
        atol=1e-5)


def test_fid(run_tool, trained_workdir, data_dir, latents, tmp_path):
  network = tmp_path / 'network.keras'
  keras.Sequential([
      keras.Input((8, 8, 1)), keras.layers.AveragePooling2D(4),
      keras.layers.Flatten()]).save(network)
  extract = evaluation.load_feature_extractor(network)
  split = datasets.load_split(
      training.load_config(str(trained_workdir)).data, 'test')
  images = evaluation.levels_to_bytes(
      split.arrays['x'][:40], split.num_levels)
  for flag, averaged in (('--averaged', True), ('--noaveraged', False)):
    result = run_tool(
        'fid', f'--workdir={trained_workdir}', flag, f'--inception={network}',
        '--split=test', '--num_images=40')
    assert result.status == 0, result.stderr
    model, _ = training.load_model(str(trained_workdir), averaged=averaged)
    x = evaluation.decode(model, model.draw_latents(40, seed=0)).x
    levels = np.clip(np.floor(x * 17), 0, 16).astype(np.uint8)
    moments = []
    for batch in (images, evaluation.levels_to_bytes(levels, 17)):
      features = extract(batch)
      moments += [features.mean(axis=0), np.cov(features, rowvar=False)]
    report = json.loads(result.stdout.splitlines()[-1])
    np.testing.assert_allclose(
        report['fid'], evaluation.frechet_distance(*moments), rtol=1e-3)


def test_numbers_that_are_not_finite_are_null(capsys):
  options.print_report({
      'a': float('nan'), 'b': [1.0, float('inf')], 'c': {'d': (2, None)}})
  (line,) = capsys.readouterr().out.splitlines()
  assert json.loads(line, parse_constant=pytest.fail) == {
      'a': None, 'b': [1.0, None], 'c': {'d': [2, None]}}


def test_notes_go_to_stderr(capsys):
  options.note('hello')
  assert capsys.readouterr() == ('', 'hello\n')


def test_lines_beside_a_report(capsys):
  options.print_report({'a': 1}, 'a table', 'a note')
  assert capsys.readouterr() == ('{"a": 1}\n', 'a table\na note\n')
