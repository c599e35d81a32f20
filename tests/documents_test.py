"""The Python of README.md and docs/ runs, where it trains for two steps.

Their calls of tools have flags that there are, promises have tests.
"""

import ast
import importlib
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys

from absl import flags
import matplotlib
import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets
import tensorflow as tf

from docs import notebooks
from tests import documents
from tests.conversion import checkpoints
from tf_resflow import configuration
from tf_resflow import numerics
from tf_resflow import serving
from tf_resflow import training
from tf_resflow.commands import runner
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.configuration import flagfiles
from tf_resflow.experiments import study_log
from tf_resflow.specs import registries
from tf_resflow.specs import renamed

_README = documents.ROOT / 'README.md'
# tests/serving_document_test.py plays the server of that page,
# tests/extending_test.py runs these in processes of their own, and
# tests/evaluation/mixtures_test.py compares what that of tables finds.
_ELSEWHERE = [
    documents.ROOT / 'docs' / name
    for name in ('serving.md', 'extending.md', 'extending_models.md',
                 'studies.md', 'tables.md')]
# Its block is for programs in which TensorFlow has run nothing yet.
_EARLY = documents.ROOT / 'docs/performance.md'
_PAGES = [
    page for page in documents.pages()
    if page not in (_README, _EARLY, *_ELSEWHERE)
    and documents.python_blocks(page.read_text())]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
  """Blocks write into a folder of their own, and open no window."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('MPLBACKEND', 'Agg')
  # What a page registers is unknown to other tests.
  monkeypatch.setattr(registries.DATASETS, '_entries', {
      **registries.DATASETS._entries})
  matplotlib.use('Agg')
  return tmp_path


def make_run_of_a_table(folder):
  """Makes the run that the pages load, at step 0, and returns its flow."""
  data = sklearn_datasets.load_breast_cancer(as_frame=True).data.iloc[:, :10]
  data.to_csv(folder / 'cancer.csv', index=False)
  config = configuration.make_config(
      dataset=f'table:{folder / "cancer.csv"}', num_blocks=1)
  model = config.model.build()
  model.initialize(tf.constant(data.to_numpy(), tf.float32))
  training.workdir.create_workdir(
      str(folder / 'runs' / 'cancer'), config, model)
  return model


def make_runs_of_densities(folder):
  """Makes the runs that docs/densities.md draws, at step 0."""
  for name in registries.DATASETS.names():
    prefix, _, density = name.partition('2d/')
    for flow_type, settings in (
        ('cpila', {'activation': 'cpila'}), ('lipswish', {}),
        ('coupling', {'block': 'coupling', 'activation': 'relu'})):
      if not prefix:
        make_run_of_points(
            folder, f'{density}_{flow_type}', dataset=name, **settings)


def make_run_of_points(folder, run, **settings):
  """Makes a run on two-dimensional points, at step 0."""
  config = configuration.make_config(
      num_blocks=1, hidden_units=(4,), **settings)
  model = config.model.build()
  model.initialize(tf.random.stateless_normal([64, 2], [0, 0]))
  training.workdir.create_workdir(str(folder / 'runs' / run), config, model)


@pytest.fixture
def small_flows(monkeypatch):
  """Tables get flows of one block, which are traced in an eighth of the time,
  trained once, and not drawn while they are.
  """
  original = flagfiles.settings
  small = {'num_blocks': 1, 'refit': False, 'sample_every': 0}
  monkeypatch.setattr(flagfiles, 'settings', lambda name: original(name) | (
      small if name == 'table' else {}))


@pytest.mark.slow
@pytest.mark.usefixtures('small_flows')
def test_readme(folder):
  """Every block stands alone, given the table and the export it speaks of."""
  serving.export(
      make_run_of_a_table(folder), str(folder / 'served' / 'cancer' / '1'),
      numerics.Exact(), warmup=False)
  documents.run(_README, stand_alone=True, is_short=True)


@pytest.mark.slow
@pytest.mark.usefixtures('small_flows')
@pytest.mark.parametrize('page', _PAGES, ids=lambda page: page.name)
def test_page(page, folder):
  make_run_of_a_table(folder)
  (folder / 'cancer.csv').unlink()  # Flows are loaded without their data.
  if page.name == 'densities.md':
    make_runs_of_densities(folder)
  make_run_of_points(
      folder, 'rings', dataset='2d/rings', norms=('learned',),
      norm_bound='estimate')
  made = checkpoints.write(folder / 'mnist_resflow_16-16-16.pth', 'grey')
  x, y = np.zeros([12, 4, 4, 3], np.uint8), np.zeros([12], int)
  documents.run(page, is_short=True, names={
      'images': x, 'others': x, 'label': y, 'theirs': y,
      'x': checkpoints.images(made)})


@pytest.mark.slow
def test_a_page_of_what_comes_before_tensorflow_runs(folder):
  result = subprocess.run(
      [sys.executable, '-m', 'tests.documents', str(_EARLY)],
      cwd=folder, env={**os.environ, 'PYTHONPATH': str(documents.ROOT)},
      capture_output=True, text=True, check=False)
  assert result.returncode == 0, result.stderr


def test_the_density_of_the_tfp_page_has_thirty_lines():
  text = (documents.ROOT / 'docs/tfp.md').read_text()
  code = documents.python_blocks(text)[0].code
  assert 'log_prob' in code
  assert len([line for line in code.splitlines() if line]) <= 30


def parse(tool, arguments):
  """Takes the values of all flags, and checks those of a run."""
  assert tool in runner.TOOLS
  module = importlib.import_module(f'tf_resflow.commands.{tool}')
  # User-provided data, which are not here.
  stand_in = '2d/moons' if '--flagfile=table' in arguments else 'patches32'
  # A run that the page made has a file of flags.
  arguments = flagfiles.resolve(
      [a for a in arguments if not a.startswith('--flagfile=runs/')])
  arguments = [re.sub(  # All but the first are those of tables alone.
      '^--(dataset=table:|test_share=|test_rows=|drop=|missing=|'
      'condition_on=city).*', '--dataset=2d/moons', a) for a in arguments]
  arguments = [re.sub(
      '^--dataset=(images|array):.*', f'--dataset={stand_in}', a)
               for a in arguments]
  flag_values = runner._common_flags()
  module.Options.define(flag_values)
  _, *rest = flag_values(['', *arguments])
  assert len(rest) <= bool(module.Options.positional)
  fields = {field.name: field for field in module.Options.flag_fields()}
  for name, value in flags_lib.field_values(
      fields.values(), flag_values).items():
    fields[name].check(value)
  if module.Options.takes_configuration:
    flags_lib.config(flag_values)


def calls():
  """The calls of all pages but those with user-defined types."""
  pages = [*documents.pages(), documents.ROOT / 'CONTRIBUTING.md']
  found = [call for page in pages
           for call in documents.commands(page.read_text())]
  return [c for c in dict.fromkeys(found) if not any(
      a.startswith('--import=') for a in c.arguments)]


def test_flags_of_calls(monkeypatch):
  monkeypatch.chdir(documents.ROOT)
  wrong = {}
  for call in calls():
    try:
      parse(*call)
    except (AssertionError, ValueError, flags.Error) as error:
      wrong[shlex.join([call.tool, *call.arguments])] = error
  assert not wrong


def test_every_tool_is_called_somewhere():
  assert {call.tool for call in calls()} == set(runner.TOOLS)


@pytest.mark.parametrize(
    'page', [page for page in documents.pages()
             if documents.made(page.read_text())], ids=lambda page: page.stem)
def test_tables_of_pages_are_those_of_logs(page):
  text = page.read_text()
  assert documents.rebuilt(text) == text, (
      f'python -m tests.documents --rebuild {page}')


@pytest.mark.parametrize('page', notebooks.PAGES)
def test_notebooks_are_those_of_pages_and_were_run(page):
  """`python -m docs.notebooks PAGE` makes one anew."""
  text = (notebooks.FOLDER / f'{page}.ipynb').read_text()
  cells = json.loads(text)['cells']
  assert [(cell['cell_type'], ''.join(cell['source'])) for cell in cells
          ] == notebooks.cells(page)
  code = [cell for cell in cells if cell['cell_type'] == 'code']
  assert [cell['execution_count'] for cell in code] == [
      *range(1, len(code) + 1)]
  kinds = {output['output_type'] for cell in code for output in cell['outputs']}
  assert kinds and 'error' not in kinds and len(text) < 600_000


@pytest.mark.parametrize(
    'path', [*documents.LOGS.glob('*.jsonl')], ids=lambda path: path.stem)
def test_logs_are_those_of_the_studies_of_the_package(
    path, tmp_path, monkeypatch):
  """Done to the end, and not those of settings that have changed since."""
  shutil.copy(path, tmp_path)
  if path.stem not in registries.STUDIES:  # It is one of docs/.
    monkeypatch.setattr(
        registries.STUDIES, '_entries', {**registries.STUDIES._entries})
    runpy.run_path(str(documents.ROOT / 'docs' / f'{path.stem}.py'))
  study = registries.STUDIES.get(path.stem)
  with study_log.StudyLog(tmp_path / path.name, path.stem, study) as log:
    assert not study.pending(log.records)


def test_promises_are_those_that_tests_are_marked_with():
  """Each of docs/reliability.md has a test, and each mark names one there."""
  marked = {
      keyword.value.value for path in documents.ROOT.glob('tests/**/*_test.py')
      for node in ast.walk(ast.parse(path.read_text()))
      if isinstance(node, ast.Call)
      and ast.unparse(node.func) == 'pytest.mark.reliability'
      for keyword in node.keywords}
  text = (documents.ROOT / 'docs/reliability.md').read_text()
  # Of all rows, but for the lines below the headings.
  names = re.findall(r'^\| (?!name )(.*?) \|', text, re.MULTILINE)
  assert sorted(names) == sorted(f'`{name}`' for name in marked)


def test_names_that_have_been_replaced_are_told():
  """Each of stored files, with its successor, in a row of docs/migration.md."""
  text = (documents.ROOT / 'docs/migration.md').read_text()
  rows = re.findall(r'^\|.*', text, re.MULTILINE)
  pairs = [
      *renamed.FLAGS.items(), *renamed.VALUES.values(),
      *renamed.CLASSES.items(),
      *(pair for names in renamed.ARGUMENTS.values() for pair in names.items()),
      *((name, 'schema') for name in (
          *renamed._OF_COLUMNS, *renamed._OF_CONDITIONS, 'whitening'))]
  assert not [(old, new) for old, new in pairs if not any(re.search(
      rf'\b{old}\b.*\|.*\b{new or "nothing"}\b', row) for row in rows)]
