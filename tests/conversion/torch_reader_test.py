"""Hostile files: nothing runs, and the reading of every one comes to an end."""

import collections
import copyreg
import io
import os
import pathlib
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest

from tests import splits
from tests import testing
from tests.conversion import torch_writer
from tf_resflow.conversion import torch_file
from tf_resflow.conversion import torch_reader

_EXTENSION = 241
_plain = torch_writer.fragment
_get = torch_writer.global_fragment
_call = torch_writer.call_fragment
_NAMESPACE = _get('argparse.Namespace') + b')' + pickle.NEWOBJ


def _payloads(path):
  """Returns pickles, without STOP, that make the file `path`."""
  system, shell = _get('os.system'), _plain(f'touch {path}')
  code = _plain(f'open({path!r}, "w").close()')
  memmap, memmap_args = _get('numpy.memmap'), (path, 'uint8', 'w+', 0, (1,))
  run = _call(system, shell)

  def namespace(attribute, value):
    return (_NAMESPACE + b'}' + _plain(attribute) + value + pickle.SETITEM
            + pickle.BUILD)

  return {
      'os.system': run,
      'eval': _call(_get('builtins.eval'), code),
      'exec of Python 2': _call(_get('__builtin__.exec'), code),
      'getattr of __import__': _call(_call(
          _get('builtins.getattr'),
          _call(_get('builtins.__import__'), _plain('os')),
          _plain('system')), shell),
      'partial': _call(_call(_get('functools.partial'), system, shell)),
      'map': _call(_get('builtins.list'), _call(
          _get('builtins.map'), system, shell + pickle.TUPLE1)),
      'STACK_GLOBAL': _call(
          _plain('os') + _plain('system') + pickle.STACK_GLOBAL, shell),
      'INST': b'(' + shell + b'ios\nsystem\n',
      'OBJ': b'(' + system + shell + b'o',
      'NEWOBJ': memmap + _plain(memmap_args) + pickle.NEWOBJ,
      'NEWOBJ_EX': memmap + _plain((path,)) + _plain(
          {'mode': 'w+', 'shape': (1,)}) + pickle.NEWOBJ_EX,
      '__newobj__': _call(
          _get('copyreg.__newobj__'), memmap, *map(_plain, memmap_args)),
      'EXT1': _call(pickle.EXT1 + bytes([_EXTENSION]), shell),
      '__setstate__': namespace('__setstate__', system) + shell + b'b',
      'append': namespace('append', system) + shell + b'a',
      'add': namespace('add', system) + b'(' + shell + pickle.ADDITEMS,
      'nested pickle': _call(_get('_pickle.loads'), _call(
          _get('_codecs.encode'), _plain((run + b'.').decode('latin1')),
          _plain('latin1'))),
      'numpy.load': _call(
          _get('numpy.load'), _plain(f'{path}.npy'), b'N', pickle.NEWTRUE),
      'in containers': b']}' + _plain('state_dict') + run + b'sa'}


class _Evil:
  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.system, (f'touch {self.path}',)


@pytest.fixture
def extension(monkeypatch):
  """Registers os.system in copyreg, as a program around ours may."""
  copyreg.add_extension('os', 'system', _EXTENSION)
  # The unpickler in C asks its cache before `find_class`.
  monkeypatch.setitem(copyreg._extension_cache, _EXTENSION, os.system)
  yield
  copyreg.remove_extension('os', 'system', _EXTENSION)


@pytest.mark.usefixtures('extension', 'own_process')
def test_payloads_run_in_plain_pickle_only(tmp_path):
  ran, harmless = [], []
  for i, name in enumerate(_payloads('')):
    path, file = tmp_path / f'made{i}', tmp_path / 'file.pth'
    np.save(f'{path}.npy', np.array([_Evil(path)], object), allow_pickle=True)
    data = b'\x80\x02' + _payloads(str(path))[name] + b'.'
    # Formats take turns: both hold such pickles, and read them alike.
    (torch_writer.write_legacy if i % 2 else torch_writer.write_zip)(
        file, data, {})
    assert '\n' not in splits.refusal(torch_file.read, file)
    if path.exists():
      ran.append(name)
      path.unlink()
    try:
      pickle.loads(data)
    except Exception:  # Some fail after they have done the damage.
      pass
    if not path.exists():
      harmless.append(name)
  assert not ran and not harmless


def test_names_are_not_looked_up():
  for name in ('this', 'antigravity', 'turtledemo.clock'):
    assert name not in sys.modules
    found = torch_reader.Unpickler(io.BytesIO(_get(f'{name}.s') + b'.')).load()
    assert issubclass(found, torch_reader.StandIn)
    assert name not in sys.modules


def test_classes_cannot_be_changed():
  before = dict(vars(torch_reader.StandIn))
  for state in ({'args': 1, 'x': 3}, (None, {'x': 3})):
    for name in ('collections.OrderedDict', 'argparse.Namespace'):
      for change in (_plain(state) + b'b', _plain('x') + _plain(1) + b's'):
        with pytest.raises((AttributeError, TypeError)):
          torch_reader.Unpickler(io.BytesIO(_get(name) + change + b'.')).load()
  assert dict(vars(torch_reader.StandIn)) == before
  assert not hasattr(collections.OrderedDict, 'x')


def test_nothing_passes_for_a_storage(load):
  """Objects with the attributes of one could name any bytes and types."""
  storage = _plain(collections.OrderedDict()) + _plain(
      {'key': '0', 'dtype': 'O8', 'itemsize': 8, 'numel': 10**6}) + b'b'
  data = _call(_get('torch._utils._rebuild_tensor_v2'), storage,
               *map(_plain, (0, (1,), (1,), False, None)))
  with pytest.raises(ValueError, match='damaged .a tensor has an impossible'):
    load(data + b'.')


@pytest.mark.usefixtures('own_process')
def test_surroundings_do_not_matter(load, tmp_path, monkeypatch):
  """The process imports nothing from folders that others may write to."""
  for name in ('json', 'pickle', 'sitecustomize', 'usercustomize'):
    (tmp_path / f'{name}.py').write_text('raise SystemExit(3)')
  monkeypatch.setenv('PYTHONPATH', str(tmp_path))
  monkeypatch.chdir(tmp_path)
  assert load(pickle.dumps([1])) == [1]
  script = (
      'import runpy, sys; runpy.run_path(sys.argv[1]); '
      'print(*{name.partition(".")[0] for name in sys.modules})')
  process = subprocess.run(
      [sys.executable, '-I', '-S', '-c', script,
       pathlib.Path(torch_reader.__file__)],
      capture_output=True, text=True, check=True)
  assert set(process.stdout.split()) <= sys.stdlib_module_names | {'__main__'}


# Two sets of equal sets, each of which holds the one below twice.
_TOWER = b'(\x91' + 60 * b'q\x000(h\x00(h\x00\x91\x91'


@pytest.mark.usefixtures('own_process')
def test_time_is_limited(load, monkeypatch):
  # 2**100 leaves to hash.
  wide_key = b'})' + 100 * (pickle.DUP + pickle.TUPLE2) + b'Ns.'
  towers = b'}(' + _TOWER + b'N' + _TOWER + b'Nu.'
  # All of the hash 0.
  numbers = b'}(' + b''.join(
      _plain(i * (2**61 - 1)) + b'N' for i in range(1, 60_000)) + b'u.'
  for limit, data in (('_CPU_SECONDS', wide_key), ('_CPU_SECONDS', numbers),
                      ('_CLOCK_SECONDS', towers)):
    assert len(data) < 10**6
    with monkeypatch.context() as patch:
      patch.setattr(torch_file, limit, 1)
      with pytest.raises(ValueError, match='takes too much time'):
        load(data)


@pytest.mark.skipif(
    sys.platform != 'linux', reason='macOS does not limit memory')
@pytest.mark.usefixtures('own_process')
def test_memory_is_limited(load, monkeypatch):
  monkeypatch.setattr(torch_file, '_MAX_BYTES', 2**28)
  testing.check_refusals(load, [(data, '...too much memory') for data in (
      b']' + pickle.LONG_BINPUT + struct.pack('<I', 2**32 - 1) + b'.',
      pickle.BINBYTES8 + struct.pack('<Q', 2**40) + b'.',
      b'(' + 10**7 * b'}' + b'l.')])


@pytest.mark.usefixtures('own_process')
def test_crashes_are_errors(load):
  """Hashing what is nested deeply overflows the stack of C."""
  deep = b')' + 10**6 * pickle.TUPLE1
  for before, after in (
      (b'}', b'Ns'), (b'(', pickle.FROZENSET), (b'\x8f(', pickle.ADDITEMS)):
    try:
      assert load(before + deep + after + b'.') in ({}, '<set>', '<frozenset>')
    except ValueError as error:
      assert 'Reading it crashes' in str(error)


def test_too_much(load, monkeypatch):
  # However deep, and without an end.
  assert load(b']' * 10**5 + b'a' * (10**5 - 1) + b'.') == [[['<list>']]]
  cyclic = []
  cyclic.append(cyclic)
  assert load(pickle.dumps(cyclic)) == [[['<list>']]]
  monkeypatch.setattr(torch_reader, '_MAX_SIZE', 1000)
  shared = ['x' * 100]
  assert torch_reader.Encoder({}).encode([shared] * 5) == [shared] * 5
  for value in ([shared] * 10, 'x' * 1000, [0] * 1000, 2**1000):
    with pytest.raises(ValueError, match='too many objects'):
      torch_reader.Encoder({}).encode(value)


def test_broken_pickles(load):
  testing.check_refusals(lambda data: load(data + b'.'), [
      (data, '...truncated or damaged') for data in (
      # Sizes that the rest of the pickle does not have.
      pickle.BINBYTES8 + struct.pack('<Q', 2**24),
      pickle.FRAME + struct.pack('<Q', 2**63),
      pickle.LONG4 + struct.pack('<i', -1), b'I' + b'9' * 10000 + b'\n',
      pickle.BINUNICODE + struct.pack('<I', 1) + b'\xff',
      pickle.PROTO + b'\xff', pickle.NEXT_BUFFER, _call(_plain('text')),
      _call(_get('collections.OrderedDict'), _plain(1)),
      # Of stack and memo.
      b'h\x05', b'g1\n', *(bytes([code]) for code in b'01tasRb('), b'',
      b'](Nu', b'}(N\x90', b'NN\x93', b'c\xff\n\xff\n',
      pickle.EXT1 + bytes([_EXTENSION]))])
