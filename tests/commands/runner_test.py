"""Whatever goes wrong is one line and a status; defects are tracebacks.

`--help` teaches, and needs no TensorFlow; neither do errors of flags.
"""

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import types

from absl import flags
import pytest
import tensorflow as tf

from tests import loops
from tests.commands import processes
from tests.commands import results
import tf_resflow
from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow.commands import options as options_lib
from tf_resflow.commands import runner
from tf_resflow.commands import startup
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.configuration import flagfiles
from tf_resflow.specs import fields
from tf_resflow.training import signals

# Everything that a tool does without work, and what it imports for that.
_SCRIPT = """
import contextlib, io, json, sys
sys.path.insert(0, sys.argv[1])
from tf_resflow.commands import runner
texts = {}
for name in runner.TOOLS:
  for arguments in (['--help'], ['--help=all'], ['--no_such_flag=1'],
                    ['--workdir=nowhere', '--output=x.png'],
                    ['--workdir=run', '--output=x.csv', '--reconstruct']):
    with contextlib.redirect_stdout(io.StringIO()) as text, (
        contextlib.redirect_stderr(text)):
      if '--workdir' not in arguments[0] or name in sys.argv[2:]:
        status = runner.run(name, arguments)
    texts[f'{name} {arguments[0]}'] = status, text.getvalue()
for argument in '--seed=7', '--workdir=run/run.flags':
  with contextlib.redirect_stderr(io.StringIO()) as text:
    status = runner.run('train', ['--dataset=2d/moons', '--workdir=run',
                                  '--num_blocks=2', argument])
  texts[f'train {argument}'] = status, text.getvalue()
heavy = {'tensorflow', 'keras', 'tensorflow_probability', 'sklearn', 'scipy',
         'matplotlib', 'pandas', 'pyarrow', 'tensorflow_datasets'} & set(
             sys.modules)
print(json.dumps([sorted(heavy), texts]))
"""
# Some tools that open a run.
_OF_RUNS = ('sample', 'export')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Options):
  """What is said."""

  text: str = options_lib.required(help='What to say.')
  num_times: int = fields.field(1, help='How often.', minimum=1)
  loudly: bool = fields.field(False, help='Whether to shout.')


@pytest.fixture
def run(run_tool, monkeypatch):
  """Returns a function that runs a tool `speak` with a given `main`."""

  def run(main, *arguments, options=Options):
    tool = types.ModuleType(
        'tf_resflow.commands.speak', 'Says it.\n\n  bin/speak --text=hello')
    tool.Options, tool.main = options, main
    monkeypatch.setitem(sys.modules, 'tf_resflow.commands.speak', tool)
    return run_tool('speak', *arguments)

  return run


def _say(options):
  print((options.text.upper() if options.loudly else options.text) *
        options.num_times)


def test_flags_reach_the_tool(run):
  """Every run has flags of its own, and absl's global ones stay as they are."""
  before = set(flags.FLAGS)
  result = run(_say, '--text=ho', '--num_times', '2', '--loudly')
  assert (result.status, result.stdout, result.stderr) == (0, 'HOHO\n', '')
  assert set(flags.FLAGS) == before


def _fail_with(error):
  def main(options):
    raise error
  return main


def test_bad_flags(run):
  results.check_errors(lambda _, *arguments: run(_say, *arguments), 'speak', [
      ([], '--text is missing. What to say.'),
      (['--text='], '--text is missing. What to say.'),
      (['--text=a', '--num_time=2'], 'unknown flag --num_time. Did you mean: '
       'num_times? --help=all lists the flags.'),
      (['--text=a', '--against=b'], 'unknown flag --against. Did you mean --o'),
      (['--text=a', '--num_times=0'], '--num_times=0: expected an integer >= '),
      (['--text=a', '--num_times'], 'Missing value for flag --num_times.'),
      (['--text=a', 'b'],
       "unexpected argument 'b'; flags are written --name=value."),
      (['--text=a', '--import=no_such_package.module'],
       '--import=no_such_package.module: expected a module that can be'),
      (['--text=a', '--flagfile=digts'],
       '--flagfile=digts: expected a file of flags, or the name of one that '
       'comes with the package. Did you mean digits? tf_resflow flagfiles ')])


def test_expected_errors(run):
  @loops.each([
      (errors.InvalidValueError('num_times', 7, 'less', 'Give 6.'), 2,
       '--num_times=7: expected less. Give 6.'),
      (errors.InvalidValueError('colour', 'red', 'blue'), 2,
       'colour=red: expected blue.'),
      (ValueError('two\nlines'), 2, 'two lines.'),
      (FileNotFoundError(2, 'No such file', 'a.txt'), 2,
       "[Errno 2] No such file: 'a.txt'."),
      (errors.ExpectedError('it diverged.'), 2, 'it diverged.'),
      (signals.TrainingInterruptedError('it is saved.'), 3, 'it is saved.'),
      (KeyboardInterrupt(), 130,
       'SIGINT before the end; run the same command again.'),
      (tf.errors.ResourceExhaustedError(
          None, None, '{{function_node x}} disk\nfull [Op:SaveV2]'), 2,
       'disk full.'),
      (MemoryError(), 2, 'MemoryError.')])
  def check(error, status, said):
    result = run(_fail_with(error), '--text=a')
    assert (result.status, result.stderr) == (status, f'speak: error: {said}\n')

  check()


@pytest.mark.reliability(promise='signal-before-training')
def test_signals_end_a_tool(run):
  """In one line, where an extension has made something else of it."""
  def main(options):
    try:
      os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
      raise ValueError('x') from None

  result = run(main, '--text=a')
  assert (result.status, result.stderr) == (
      143, 'speak: error: SIGTERM before the end; run the same command '
      'again.\n')


def test_defects_are_not_hidden(run):
  for error in (RuntimeError('a defect'), KeyError('x'),
                tf.errors.InvalidArgumentError(None, None, 'a defect')):
    with pytest.raises(type(error)):
      run(_fail_with(error), '--text=a')


@pytest.mark.reliability(promise='foreign-folder')
def test_a_new_process_runs_a_tool(tmp_path):
  """Wherever it is started, by its launcher or by another tool.

  And runs nothing of what is there.
  """
  (tmp_path / 'random.py').write_text('raise SystemExit(9)')
  arguments = ['--workdir=w', '--num_repeats=7']
  for process in (
      processes.run_launcher('evaluate', *arguments, cwd=tmp_path),
      subprocess.run(
          runner.command('evaluate', arguments), cwd=tmp_path,
          capture_output=True, text=True, check=False, env={'PATH': ''})):
    assert process.returncode == 2
    assert process.stderr == (
        'evaluate: error: --num_repeats=7: expected an integer >= 8.\n')


def test_every_tool_has_the_same_launcher():
  launchers = {p.name: p.read_text() for p in (processes.ROOT / 'bin').iterdir()
               if p.is_file() and os.access(p, os.X_OK)}
  assert launchers.keys() == set(runner.TOOLS)
  assert len(set(launchers.values())) == 1


def test_console(capsys, monkeypatch):
  """An overview, or one of the tools."""
  def run_main(*arguments):
    monkeypatch.setattr(sys, 'argv', ['tf_resflow', *arguments])
    with pytest.raises(SystemExit) as info:
      runner.main()
    return info.value.code or 0, *capsys.readouterr()

  for arguments in ([], ['--help']):
    status, stdout, stderr = run_main(*arguments)
    assert (status, stderr) == (0, '')
    for name in runner.TOOLS:
      assert f'\n  {name:12}' in stdout
  status, stdout, _ = run_main('convert', '--help')
  assert status == 0
  assert '\n  tf_resflow convert --checkpoint=' in stdout
  assert run_main('--version') == (
      0, f'tf_resflow {tf_resflow.__version__}\n', '')
  status, stdout, _ = run_main('flagfiles')
  assert status == 0
  listed = [line.split()[0] for line in stdout.splitlines()
            if line.startswith('  ') and line[2] != ' ']
  assert sorted(listed) == flagfiles.names()
  status, stdout, stderr = run_main('tain')
  assert (status, stdout) == (2, '')
  assert stderr.startswith(
      "tf_resflow: error: unknown tool 'tain'. Did you mean train? The tools ")


def test_which_tools_set_up_training(run, monkeypatch):
  """In a process of their own."""
  set_up = []
  monkeypatch.setattr(startup, 'load_tensorflow', lambda: None)
  monkeypatch.setattr(startup, 'set_up_training', set_up.append)

  class OfTraining(Options):
    takes_configuration = sets_up_training = True

  for options, is_own_process, *flag in (
      (OfTraining, True, '--jit_compile'), (OfTraining, False),
      (OfTraining, True, '--nojit_compile'), (Options, True)):
    with monkeypatch.context() as context:
      if is_own_process:
        context.delitem(sys.modules, 'tensorflow')
      result = run(lambda *_: None, '--text=a', *flag, options=options)
    assert result.status == 0, result.stderr
  assert set_up == [True, False]


# A signal as a module is imported.
_SIGNALLED = """
import os, signal, sys
root, module, number, *arguments = sys.argv[1:]
class Finder:
  def find_spec(self, name, path=None, target=None):
    if name == module:
      os.kill(os.getpid(), int(number))
sys.meta_path.insert(0, Finder())
sys.path.insert(0, root)
from tf_resflow.commands import runner
sys.exit(runner.run(*arguments[:1], arguments[1:]))
"""


@pytest.mark.slow
@pytest.mark.reliability(promise='signal-before-training')
def test_signals_during_imports(tmp_path):
  """Of this package, of TensorFlow, and by a tool that only reads."""
  train = ['train', '--flagfile=2d', f'--workdir={tmp_path / "run"}']
  for module, number, status, arguments in (
      ('tf_resflow.commands.options', signal.SIGINT, 3, train),
      ('tensorflow.python.ops.math_ops', signal.SIGTERM, 3, train),
      ('keras', signal.SIGTERM, 143, ['benchmark', train[1]])):
    process = processes.run_python(
        '-c', _SIGNALLED, str(processes.ROOT), module, str(int(number)),
        *arguments)
    assert process.returncode == status, process.stderr
    [line] = process.stderr.splitlines()
    assert line.startswith(f'{arguments[0]}: error: {number.name} before ')
    assert line.endswith('run the same command again.')
  assert not list(tmp_path.iterdir())


@pytest.fixture(scope='module')
def shown(tmp_path_factory):
  """What all tools show in a process of their own, beside a run's flags."""
  folder, config = tmp_path_factory.mktemp('folder'), configuration.make_config(
      dataset='2d/moons')
  (folder / 'run' / 'checkpoints').mkdir(parents=True)
  (folder / 'run' / 'checkpoints' / 'ckpt-3.index').touch()
  (folder / 'run' / 'run.flags').write_text(flags_lib.to_flagfile(config))
  (folder / 'run' / 'model.json').write_text(config.model.to_json())
  process = processes.run_python(
      '-c', _SCRIPT, str(processes.ROOT), *_OF_RUNS, cwd=folder)
  assert process.returncode == 0, process.stderr
  return json.loads(process.stdout)


def test_what_does_not_suit_a_run_is_noticed_at_once(shown):
  """Before anything heavy is imported; and that a folder has no run."""
  assert shown[0] == []
  for name in _OF_RUNS:
    assert shown[1][f'{name} --workdir=nowhere'] == [
        2, f'{name}: error: --workdir=nowhere: expected the folder of a run. '
        'There is no run.flags; train with `tf_resflow train`.\n']
  assert shown[1]['sample --workdir=run'] == [
      2, 'sample: error: --reconstruct cannot be used with model=vector. It is '
      'for images.\n']
  status, text = shown[1]['train --seed=7']
  assert status == 2 and text.startswith(
      'train: error: --workdir=run: expected a run of this configuration. In '
      'that run --num_blocks was 8 and is 2, --seed was 0 and is 7. Continue ')
  assert shown[1]['train --workdir=run/run.flags'] == [
      2, 'train: error: --workdir=run/run.flags: expected a folder. It is a '
      'file.\n']


@pytest.mark.parametrize('arguments', [
    [], ['flagfiles'], ['train', '--help=all']])
def test_a_reader_that_leaves_ends_a_tool_quietly(arguments):
  """With the status that a shell gives for SIGPIPE."""
  read_end, write_end = os.pipe()
  os.close(read_end)
  process = subprocess.run(
      [sys.executable, '-m', 'tf_resflow', *arguments], stdout=write_end,
      stderr=subprocess.PIPE, text=True, check=False, cwd=processes.ROOT)
  os.close(write_end)
  assert (process.returncode, process.stderr) == (128 + signal.SIGPIPE, '')


def test_help(shown):
  for name in runner.TOOLS:
    (status, text), (_, whole) = (
        shown[1][f'{name} --help{level}'] for level in ('', '=all'))
    assert status == 0, name
    tool = importlib.import_module(f'tf_resflow.commands.{name}')
    summary, _, rest = text.partition('\n\n')
    assert summary == tool.__doc__.splitlines()[0]
    # Examples first.
    assert rest.startswith(f'  tf_resflow {name}')
    own_group, _, _ = tool.Options.__doc__.partition('.')
    for field in tool.Options.flag_fields():
      flag = f'[no]{field.flag}' if field.element is bool else field.flag
      assert text.count(f'\n  --{flag}: ') == 1, (name, flag)
      # The group of the tool comes first.
      assert text.index(f'\n{own_group}:\n') <= text.index(
          f'\n{field.group}:\n')
      if field.default is dataclasses.MISSING:
        assert f'{field.help} (required' in ' '.join(text.split())
    assert '\nEvery tool:\n  --flagfile: ' in text, name
    assert 'tf_resflow flagfiles lists' in ' '.join(text.split()), name
    assert max(map(len, text.splitlines())) <= 80, name
    if tool.Options.takes_configuration:
      for flag in ('dataset', 'num_steps', 'learning_rate', 'seed'):
        assert f'\n  --{flag}: ' in text
      assert len(text.splitlines()) < 0.6 * len(whole.splitlines())
      for flag in flags_lib.by_name():
        assert whole.count(f'\n  --{flag}: ') + whole.count(
            f'\n  --[no]{flag}: ') == 1, (name, flag)
