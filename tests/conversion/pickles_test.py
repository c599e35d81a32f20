"""Hostile and broken pickles: nothing runs, and every one comes to an end."""

import copyreg
import os
import pickle
import struct
import sys

import numpy as np
import pytest

from tests.conversion import torch_writer
from tf_resflow.conversion import pickles
from tf_resflow.conversion import torch_file

_EXTENSION = 241
_plain = torch_writer.fragment
_get = torch_writer.global_fragment
_call = torch_writer.call_fragment
_NAMESPACE = _get('argparse.Namespace') + b')' + pickle.NEWOBJ


@pytest.fixture
def load(tmp_path):
  """Returns `load(data)`, which reads one pickle."""

  def load_fn(data):
    (tmp_path / 'file.pkl').write_bytes(data)
    (value,), _ = pickles.load(tmp_path / 'file.pkl')
    return value

  return load_fn


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
      'Popen': _call(_call(
          _get('builtins.getattr'),
          _call(_get('subprocess.Popen'), _plain(['touch', path])),
          _plain('wait'))),
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
      'EXT2': _call(pickle.EXT2 + struct.pack('<H', _EXTENSION), shell),
      'EXT4': _call(pickle.EXT4 + struct.pack('<i', _EXTENSION), shell),
      '__setstate__': namespace('__setstate__', system) + shell + b'b',
      'append': namespace('append', system) + shell + b'a',
      'add': namespace('add', system) + b'(' + shell + pickle.ADDITEMS,
      'nested pickle': _call(_get('_pickle.loads'), _call(
          _get('_codecs.encode'), _plain((run + b'.').decode('latin1')),
          _plain('latin1'))),
      'numpy.load': _call(
          _get('numpy.load'), _plain(f'{path}.npy'), b'N', pickle.NEWTRUE),
      'in containers': b']}' + _plain('state_dict') + run + b'sa',
  }


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


@pytest.mark.parametrize('name', _payloads(''))
@pytest.mark.usefixtures('extension')
def test_payload_runs_in_plain_pickle_only(name, load, tmp_path):
  path = tmp_path / 'made'
  np.save(f'{path}.npy', np.array([_Evil(path)], object), allow_pickle=True)
  data = b'\x80\x02' + _payloads(str(path))[name] + b'.'
  zipped, legacy = tmp_path / 'zip.pth', tmp_path / 'legacy.pth'
  torch_writer.write_zip(zipped, data, {})
  torch_writer.write_legacy(legacy, data, {})
  for read, source in ((load, data), (torch_file.read, zipped),
                       (torch_file.read, legacy)):
    try:
      read(source)
    except ValueError as error:
      assert '\n' not in str(error)
    assert not path.exists()
  try:
    pickle.loads(data)
  except Exception:  # Some fail after they have done the damage.
    pass
  assert path.exists()
  with pytest.raises(ValueError, match=f'extension code {_EXTENSION}'):
    load(pickle.EXT1 + bytes([_EXTENSION]) + b'.')


def test_surroundings_do_not_matter(load, tmp_path, monkeypatch):
  """The process imports nothing from folders that others may write to."""
  for name in ('json', 'pickle', 'sitecustomize', 'usercustomize'):
    (tmp_path / f'{name}.py').write_text('raise SystemExit(3)')
  monkeypatch.setenv('PYTHONPATH', str(tmp_path))
  monkeypatch.chdir(tmp_path)
  assert load(pickle.dumps([1])) == [1]


def test_objects(tmp_path):
  path = tmp_path / 'file.pkl'
  data = b'rest' + _plain([1, _Evil('x')])
  path.write_bytes(data + b'.' + pickle.dumps({2: {'a': None}}))
  values, end = pickles.load(path, 4, 2)
  name = f'{os.system.__module__}.system'
  assert values == [
      [1, pickles.Object(name, ['touch x'])], {2: {'a': None}}]
  assert end == path.stat().st_size
  values, _ = pickles.load(path, 4, 1, lambda obj: obj.args)
  assert values == [[1, ['touch x']]]
  with pytest.raises(FileNotFoundError):
    pickles.load(tmp_path / 'none.pkl')


# Two sets of equal sets, each of which holds the one below twice.
_TOWER = b'(\x91' + 60 * b'q\x000(h\x00(h\x00\x91\x91'
_HANGS = {
    # 2**100 leaves to hash.
    'wide key': b'})' + 100 * (pickle.DUP + pickle.TUPLE2) + b'Ns',
    'wide set': b'()' + 100 * (pickle.DUP + pickle.TUPLE2) + b'\x91',
    'towers': b'}(' + _TOWER + b'N' + _TOWER + b'Nu',
    # All of the hash 0.
    'numbers': b'}(' + b''.join(
        _plain(i * (2**61 - 1)) + b'N' for i in range(1, 60_000)) + b'u',
}


@pytest.mark.parametrize('name', _HANGS)
def test_time_is_limited(name, load, monkeypatch):
  assert len(_HANGS[name]) < 10**6
  for limit in ('_CPU_SECONDS', '_CLOCK_SECONDS'):
    with monkeypatch.context() as patch:
      patch.setattr(pickles, limit, 1)
      with pytest.raises(ValueError, match='takes too much time'):
        load(_HANGS[name] + b'.')


@pytest.mark.skipif(
    sys.platform != 'linux', reason='macOS does not limit memory')
@pytest.mark.parametrize('data', [
    b']' + pickle.LONG_BINPUT + struct.pack('<I', 2**32 - 1),
    *(opcode + struct.pack('<Q', size)
      for opcode in (pickle.BYTEARRAY8, pickle.BINBYTES8, pickle.BINUNICODE8)
      for size in (2**31, 2**40)),
    b'(' + 10**7 * b'}' + b'l',
])
def test_memory_is_limited(data, load, monkeypatch):
  monkeypatch.setattr(pickles, '_MAX_BYTES', 2**28)
  with pytest.raises(ValueError, match='too much memory'):
    load(data + b'.')


@pytest.mark.parametrize('before, after', [
    (b'}', b'Ns'), (b'}(', b'Nu'), (b'(', b'Nd'), (b'(', pickle.FROZENSET),
    (b'\x8f(', pickle.ADDITEMS)])
def test_crashes_are_errors(before, after, load):
  """Hashing what is nested deeply overflows the stack of C."""
  deep = b')' + 10**6 * pickle.TUPLE1
  with pytest.raises(ValueError, match='crashes|a key is of type tuple|set'):
    assert isinstance(load(before + deep + after + b'.'), set)


@pytest.mark.parametrize('data', [
    # Sizes that the rest of the pickle does not have.
    *(opcode + struct.pack('<Q', size)
      for opcode in (pickle.BYTEARRAY8, pickle.BINBYTES8, pickle.BINUNICODE8,
                     pickle.FRAME) for size in (2**24, 2**62, 2**63)),
    pickle.LONG4 + struct.pack('<i', -1), b'Lx\n', b'Fx\n', b"S'\n",
    b'I' + b'9' * 10000 + b'\n', pickle.LONG4 + struct.pack('<i', 10**5)
    + b'\x01' * 10**5,
    pickle.BINUNICODE + struct.pack('<I', 1) + b'\xff',
    pickle.PROTO + b'\xff', pickle.NEXT_BUFFER,
    _call(_plain('text')), _call(_get('collections.OrderedDict'), _plain(1)),
    _get('builtins.list') + _plain(1) + b'R',
    # Of stack and memo.
    b'h\x05', b'g1\n', b'p-1\n', *(bytes([code]) for code in b'01tasRb\xff('),
    b'', b'NNNs', b'](Nu', b'}(Nu', b'(Nd', b')Na', b'}(N\x90', b'\x93',
    b'NN\x93', b'c\xff\n\xff\n',
])
def test_broken_pickles(data, load):
  with pytest.raises(ValueError) as info:
    load(data + b'.')
  message = str(info.value)
  assert '\n' not in message and len(message) < 400


_OBJECTS = [{'a': [1, 2.5, 'text', (None,)], 'b': {1, 2}}, np.float64(1.5),
            _Evil('x'), _Evil]


@pytest.mark.parametrize('protocol', [0, 2, 5])
def test_random_changes(protocol, load):
  data = pickle.dumps(_OBJECTS, protocol)
  rng = np.random.default_rng(protocol)
  num_errors = 0
  for _ in range(100):
    changed = bytearray(data)
    for position in rng.integers(len(data), size=rng.integers(1, 4)):
      changed[position] = rng.integers(256)
    try:
      load(bytes(changed))
    except ValueError as error:
      assert '\n' not in str(error)
      num_errors += 1
  assert 0 < num_errors < 100
