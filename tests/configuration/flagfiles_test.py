"""Flagfiles by name or path; those of bin/flags say what they are."""

import dataclasses
import os
import re

from absl import flags
import numpy as np
import pytest

from tests import loops
from tests import symbolic
from tests import testing
from tests.commands import processes
from tests.training import runs
from tf_resflow import configuration
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.configuration import flagfiles
from tf_resflow.experiments import paper
from tf_resflow.specs import registries

_FILES = sorted((processes.ROOT / 'bin' / 'flags').glob('*.flags'))
# The others say which tool or data take them.
_EXPERIMENTS = [
    path for path in _FILES if not path.read_text().startswith('# For ')]
# One of each kind of model, objective and estimator that the files have.
_KINDS = '2d_norms', 'cifar10_hybrid_coupling_1x1', 'digits_iresnet'


def test_names_stand_for_the_files_of_the_package(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert {'digits', 'cifar10', 'mnist5k'} <= set(flagfiles.names())
  for value in ('digits', 'digits.flags'):
    arguments = flagfiles.resolve([f'--flagfile={value}', '--num_steps=3'])
    assert '--dataset=digits' in arguments
    assert arguments[-1] == '--num_steps=3'
  # A path that exists wins.
  (tmp_path / 'digits').write_text('--dataset=mnist\n')
  assert flagfiles.resolve(['--flagfile=digits']) == ['--dataset=mnist']
  assert flagfiles.resolve(['a', '-flagfile', 'digits', '--b']) == [
      'a', '--dataset=mnist', '--b']


def test_settings_make_the_configuration_of_the_flags():
  for name in ('2d', 'digits_iresnet'):
    settings = flagfiles.settings(name)
    assert configuration.make_config(**settings) == _read(
        processes.ROOT / 'bin' / 'flags' / f'{name}.flags')


@pytest.mark.reliability(promise='too-large')
def test_what_is_no_file_of_flags(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
  os.mkfifo(tmp_path / 'pipe')
  testing.check_refusals(
      lambda value: flagfiles.resolve([f'--flagfile={value}']), [
          (value, f'flagfile={value}: expected a file of flags')
          for value in ('none', '', '/none/digits.flags', 'folder', 'binary',
                        'pipe', '/dev/zero')])


# What the files hold.


def _read(path):
  flag_values = flags.FlagValues()
  flags_lib.define(flag_values)
  # Some leave the data to the reader.
  dataset = {'table': '2d/moons'}.get(path.stem, 'patches32')
  flag_values(['train', f'--dataset={dataset}', f'--flagfile={path}'])
  return flags_lib.config(flag_values)


def _header(path):
  """Returns what stands at the top: `row`, and what follows on every `Key: `.
  """
  lines = path.read_text().partition('\n--')[0].splitlines()
  assert all(line.startswith('# ') for line in lines)
  row, *rest = re.split(
      r'(?:^| )(Expected|Cost|Parameters): ',
      ' '.join(line.removeprefix('# ') for line in lines))
  return {'row': row, **dict(zip(rest[::2], rest[1::2], strict=True))}


@loops.each(_FILES)
def test_each_describes_a_run(path):
  assert _read(path).optimizer.num_steps > 0


def _is_of_the_paper(path):
  return not _header(path)['row'].startswith('Not in the paper: ')


@loops.each(_EXPERIMENTS)
def test_each_opens_with_its_row_and_what_to_expect(path):
  """Those of the paper have published values, costs and departures in a table.
  """
  header = _header(path)
  if _is_of_the_paper(path):
    assert re.match(r'(Table|Figure|Section) \d', header['row'])
    assert path.stem in paper.runs()
    return
  assert list(header)[:4] == ['row', 'Expected', 'Cost', 'Parameters']
  for key in ('Expected', 'Cost'):
    assert re.search(r'\d', header[key]), key
  # How the number was got.
  assert re.search(r'\bmeasured\b', header['Cost'])


@pytest.mark.parametrize('is_of_the_paper', [
    False, pytest.param(True, marks=pytest.mark.slow)])
def test_each_builds_at_full_size_with_the_parameters_that_it_states(
    is_of_the_paper):
  """Those that are learned, without the singular vectors."""
  for path in _EXPERIMENTS:
    if _is_of_the_paper(path) == is_of_the_paper:
      stated, *_ = _header(path)['Parameters'].split()
      model = symbolic.build(_read(path).model)
      assert stated == f'{model.num_parameters:,}', path


@loops.each(filter(_is_of_the_paper, _EXPERIMENTS))
def test_rows_of_the_paper_say_where_they_depart(path):
  config, departures = _read(path), paper.runs()[path.stem]['departures']
  optimizer = config.optimizer
  # Of a thousand batches.
  assert optimizer.warmup_steps * optimizer.accumulation_steps == (
      0 if path.stem == '2d_paper' else 1000)
  # Couplings draw nothing.
  if (config.model.block != 'coupling' and
      config.model.estimator.startswith('roulette:poisson')):
    for words in ('Geometric(0.5)', 'Rademacher',
                  '--estimator=roulette:safe,exact=20'):
      assert words in departures


# Two steps.


def _smallest(model):
  """Returns the flags of a model of one block a scale, and of hidden size 8."""
  if model.name() == 'vector':
    return {'num_blocks': 1, 'hidden_units': ','.join(
        '8' for _ in model.hidden_units)}
  return {'num_blocks': ','.join('1' for _ in model.num_blocks),
          'hidden_channels': 8}


@pytest.mark.slow
@pytest.mark.parametrize('name', _KINDS)
def test_takes_two_steps(name, run_tool, tmp_path, data_dir, monkeypatch):
  """Noise stands in for data that would have to be downloaded."""
  path = processes.ROOT / 'bin' / 'flags' / f'{name}.flags'
  config = _read(path)
  info = registries.DATASETS.get(config.data.dataset)

  def noise(part):
    rng = np.random.default_rng(0)
    size = config.data.num_validation + 12 if part == 'train' else 2
    return (
        rng.integers(0, info.num_levels, [size, *info.image_shape], np.uint8),
        rng.integers(0, max(info.num_classes, 1), [size]))

  if not info.is_embedded:
    monkeypatch.setitem(
        registries.DATASETS._entries, config.data.dataset,
        dataclasses.replace(info, load_fn=noise))
  # Two logical CPUs cannot share one image.
  changes = {
      **_smallest(config.model), 'batch_size': 1, 'num_steps': 2,
      'log_every': 1, 'sample_every': 0, 'strategy': 'single'}
  workdir = tmp_path / 'run'
  result = run_tool(
      'train', f'--flagfile={path}', f'--workdir={workdir}',
      f'--data_dir={data_dir}', '--noevaluate_at_end',
      *(f'--{name}={value}' for name, value in changes.items()))
  assert result.status == 0, result.stderr
  ran, given = _read(workdir / 'run.flags').values(), config.values()
  assert {name for name in given if ran[name] != given[name]} <= {
      'data_dir', *changes}
  rows = runs.rows(workdir)
  assert [row['step'] for row in rows] == ['1', '2']
  assert np.isfinite([
      float(value) for row in rows for value in row.values() if value]).all()
