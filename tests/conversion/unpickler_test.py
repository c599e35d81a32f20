"""What pickles may build here, and what no pickle can do."""

import argparse
import collections
import copyreg
import io
import os
import pickle
import struct
import sys
import tracemalloc

import numpy as np
import pytest

from tests.conversion import torch_writer
from tf_resflow.conversion import torch_file
from tf_resflow.conversion import unpickler

_EXTENSION = 241
_plain = torch_writer.fragment
_get = torch_writer.global_fragment
_call = torch_writer.call_fragment
_NAMESPACE = _get('argparse.Namespace') + b')' + pickle.NEWOBJ


def _load(data):
  return unpickler.load(io.BytesIO(data))


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
  # C and Python each have a cache, which is asked before `find_class`.
  monkeypatch.setitem(copyreg._extension_cache, _EXTENSION, os.system)
  yield
  copyreg.remove_extension('os', 'system', _EXTENSION)


@pytest.mark.parametrize('name', _payloads(''))
@pytest.mark.usefixtures('extension')
def test_payload_runs_in_plain_pickle_only(name, tmp_path):
  path = tmp_path / 'made'
  np.save(f'{path}.npy', np.array([_Evil(path)], object), allow_pickle=True)
  data = b'\x80\x02' + _payloads(str(path))[name] + b'.'
  zipped, legacy = tmp_path / 'zip.pth', tmp_path / 'legacy.pth'
  torch_writer.write_zip(zipped, data, {})
  torch_writer.write_legacy(legacy, data, {})
  for read, source in ((_load, data), (torch_file.read, zipped),
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
  with pytest.raises(ValueError, match=f'extension {_EXTENSION}'):
    _load(pickle.EXT1 + bytes([_EXTENSION]) + b'.')


def test_nothing_is_imported():
  for name in ('this', 'antigravity', 'turtledemo.clock'):
    assert name not in sys.modules
    value = _load(_get(f'{name}.s') + b'.')
    assert value.path == f'{name}.s'
    assert name not in sys.modules


@pytest.mark.parametrize('state', [
    {'fn': 1, 'path': 2, 'x': 3}, (None, {'fn': 1, 'path': 2, 'x': 3}), (1,)])
def test_nothing_lasting_can_be_changed(state):
  table = {**unpickler._GLOBALS, **torch_file._GLOBALS}
  before = dict(table)
  for module, name in [*table, ('argparse', 'Namespace')]:
    for change in (_plain(state) + b'b', b'(' + _plain(1) + b'e',
                   _plain(1) + b'a', _plain('fn') + _plain(1) + b's'):
      data = _get(f'{module}.{name}') + change + b'.'
      with pytest.raises(ValueError, match='broken or refused pickle'):
        unpickler.load(io.BytesIO(data), table)
  assert table == before
  assert not hasattr(argparse.Namespace, 'x')
  assert not hasattr(unpickler.StandIn, 'x')
  assert unpickler.StandIn.path == ''
  for value in table.values():
    assert not hasattr(value, 'x')
    if isinstance(value, unpickler.Function):
      with pytest.raises(AttributeError):
        value.fn = os.system
  # Plain pickle would let it.
  pickle.loads(_get('argparse.Namespace') + _plain((None, {'x': 1})) + b'b.')
  del argparse.Namespace.x


_LIST = [1]
_LIST.append(_LIST)
_PLAIN = {
    'numbers': [0, 1, -1, 255, 256, 65536, -2**31, 2**40, -2**80, 10**300,
                0.1, float('-inf'), 1 - 2j, True, False, None],
    'texts': ['', 'a', 'quoted \' " \\', 'zwölf', '\U0001f600', 'x' * 300],
    'bytes': [b'', bytes(range(256)), b'y' * 300, bytearray(b'\x00\xff'),
              bytearray()],
    'containers': [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, set(),
                   {1, 'b', (2, (3,))}, frozenset([1, 2]), frozenset(),
                   {(1, 2): {3: [4]}}, slice(1, None, 2)],
    'ordered': collections.OrderedDict([('b', 1), ('a', 2)]),
}


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_objects_come_back(protocol):
  result = _load(pickle.dumps(_PLAIN, protocol))
  assert result == _PLAIN
  assert repr(result) == repr(_PLAIN)  # True is not 1 there.
  one, cycle = _load(pickle.dumps(_LIST, protocol))
  assert one == 1 and cycle[1] is cycle


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('kind', [
    'bool', 'int8', 'int64', 'uint16', 'float16', 'float32', 'float64',
    'complex64'])
def test_numpy_scalars_come_back(kind, protocol):
  value = np.array([3], kind)[0]
  result = _load(pickle.dumps(value, protocol))
  assert result == value and type(result) is type(value)


def test_numpy_scalar_of_the_other_byte_order():
  data = _plain(np.dtype('>f8')) + _plain(struct.pack('>d', 1.5))
  function = _get('numpy.core.multiarray.scalar')
  assert _load(function + data + pickle.TUPLE2 + b'R.') == 1.5


@pytest.mark.parametrize('code, data', [
    ('O8', b'x' * 8), ('O', b'x' * 8), ('V8', b'x' * 8), ('f8', b'x' * 7),
    ('f8', 3), ('f8', [1]), (8, b'x' * 8), ('f8,O', b'x' * 16), ('M8', b'')])
def test_other_numpy_scalars_are_refused(code, data):
  dtype = _call(_get('numpy.dtype'), _plain(code))
  with pytest.raises(ValueError, match='NumPy|UnpicklingError'):
    _load(_call(_get('numpy.core.multiarray.scalar'), dtype, _plain(data))
          + b'.')


def test_python_2():
  data = (b"(dS'text'\nU\x03abcs" + b'T\x02\x00\x00\x00xyc__builtin__\nset\n'
          + b'((lI1\natRs.')
  assert _load(data) == {'text': 'abc', 'xy': {1}}
  assert _load(b'((lI1\nai__builtin__\nset\n.') == {1}
  # Bytes of a scalar were a `str`.
  scalar = _call(_get('numpy.core.multiarray.scalar'),
                 _call(_get('numpy.dtype'), b'U\x02f4'),
                 b'U\x04' + struct.pack('<f', -2.5))
  assert _load(scalar + b'.') == -2.5


class _Plain:
  pass


class _Slotted:
  __slots__ = ('x',)


class _Dict(dict):
  pass


class _Custom:
  def __new__(cls, *, keyword):
    del keyword
    return super().__new__(cls)

  def __getnewargs_ex__(self):
    return (), {'keyword': 1}

  def __getstate__(self):
    return [1, 2]

  def __setstate__(self, state):
    raise AssertionError('called')


@pytest.mark.parametrize('protocol', range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_objects_become_stand_ins(protocol):
  plain, slotted = _Plain(), _Slotted()
  plain.x, slotted.x = 1, 2
  # Names that would matter if they were set on the stand-in.
  vars(plain).update(state=3, path=4, __class__=5)
  plain.own = plain
  result = _load(pickle.dumps(
      [plain, slotted, _Dict(a=1), _Custom(keyword=1),
       argparse.Namespace(lr=0.1), _Plain, _Plain()], protocol))
  assert result[0].state.pop('own') is result[0]
  assert [value.state for value in result if not isinstance(value, type)] == [
      {'x': 1, 'state': 3, 'path': 4, '__class__': 5}, {'x': 2}, {}, {},
      {'lr': 0.1}, {}]
  assert repr(result[0]) == f"<StandIn '{__name__}._Plain'>"
  assert type(result[0]) is type(result[-1]) is result[-2]
  assert type(result[0]) is not type(result[1])
  assert isinstance(result[0], unpickler.StandIn)
  # Another pickle has classes of its own.
  assert type(_load(pickle.dumps(plain))) is not type(result[0])


@pytest.mark.parametrize('protocol', [0, 1])
def test_objects_of_old_protocols(protocol):
  result = _load(pickle.dumps(argparse.Namespace(lr=0.1), protocol))
  assert result.path == 'argparse.Namespace' and result.state == {'lr': 0.1}


@pytest.mark.parametrize('opcodes', [
    b'NNs', b'(NNu', b'Na', b'(Ne', b'(N' + pickle.ADDITEMS, b'(NtR'])
def test_stand_ins_take_items_and_calls(opcodes):
  result = _load(_NAMESPACE + opcodes + b'.')
  assert result.path == 'argparse.Namespace' and result.state == {}


def test_attributes_of_containers_are_dropped():
  result = _load(_plain(collections.OrderedDict(a=1)) + _plain(
      {'_metadata': 1, 'items': 'hides the method'}) + b'b.')
  assert list(result.items()) == [('a', 1)]
  assert not hasattr(result, '_metadata')


def test_file_is_left_behind_the_pickle():
  file = io.BytesIO(pickle.dumps([1], 2) + pickle.dumps([2], 4) + b'rest')
  assert unpickler.load(file) == [1] and unpickler.load(file) == [2]
  assert file.read() == b'rest'


def test_persistent_ids():
  data = _plain(('a', 1)) + pickle.BINPERSID + b'.'
  assert unpickler.load(io.BytesIO(data), None, list) == ['a', 1]
  assert unpickler.load(io.BytesIO(b'Pname\n.'), None, str.upper) == 'NAME'
  with pytest.raises(ValueError, match='persistent id'):
    _load(data)


@pytest.mark.parametrize('call', [
    *(_call(_get(f'builtins.{name}'), *map(_plain, args)) for name, *args in [
        ('bytes', 10**12), ('bytearray', 10**12), ('bytes', (1, 2)),
        ('str', [1]), ('int', '9' * 10000), ('int', 'x'), ('set', [[1]]),
        ('slice', [1]), ('dict', [1]), ('list', 1)]),
    *(_call(_get('_codecs.encode'), *map(_plain, args)) for args in [
        ('x', 'rot13'), ('\u0100', 'latin1'), (b'x', 'latin1')]),
    _get('builtins.bytearray') + _plain(10**12) + pickle.TUPLE1 + b'\x81',
    _call(_get('collections.OrderedDict'), _plain(1)),
    _call(_get('copyreg._reconstructor'), _plain(1)),
    _call(_plain('text')), _get('builtins.list') + _plain(1) + b'R',
    _get('builtins.set') + b')' + _plain({'x': 1}) + pickle.NEWOBJ_EX,
    # Sizes that the rest of the pickle does not have.
    *(opcode + struct.pack('<Q', size)
      for opcode in (pickle.BYTEARRAY8, pickle.BINBYTES8, pickle.BINUNICODE8,
                     pickle.FRAME) for size in (2**24, 2**40, 2**62, 2**63)),
    pickle.LONG4 + struct.pack('<i', -1), b'Lx\n', b'Fx\n', b"S'\n",
    pickle.BINUNICODE + struct.pack('<I', 1) + b'\xff',
    pickle.PROTO + b'\xff', pickle.NEXT_BUFFER,
    _plain(b'x') + pickle.READONLY_BUFFER,
    # Of stack and memo.
    b'h\x05', b'g1\n', b'p-1\n', *(bytes([code]) for code in b'01tasRb\xff('),
    b'', b'NNNs', b'](Nu', b'}(Nu', b'(Nd', b')Na', b'}(N\x90', b'\x93',
    b'\x96' + bytes(8) + b'K\x01a', b'\x96' + bytes(8) + b'(K\x01e',
    b'NN\x93', b'c\xff\n\xff\n',
])
def test_broken_and_greedy_pickles(call):
  tracemalloc.start()
  with pytest.raises(ValueError) as info:
    _load(call + b'.')
  assert tracemalloc.get_traced_memory()[1] < 2**22
  tracemalloc.stop()
  message = str(info.value)
  assert message.startswith('broken or refused pickle: ')
  assert '\n' not in message and len(message) < 400


def test_large_memo_index_costs_nothing():
  data = b']' + pickle.LONG_BINPUT + struct.pack('<I', 2**32 - 1) + b'.'
  assert _load(data) == []


def test_copies_are_limited(monkeypatch):
  monkeypatch.setattr(unpickler, '_MAX_COPIED_BYTES', 10**5)
  copy = pickle.BINPUT + b'\x00' + _get('builtins.list') + b'h\x00\x85R'
  assert _load(_plain([1] * 100) + 10 * copy + b'.') == [1] * 100
  build = (_plain(dict.fromkeys(range(100))) + pickle.BINPUT + b'\x00'
           + 20 * (_NAMESPACE + b'h\x00b'))
  for data in (_plain([1] * 100) + 20 * copy, build):
    with pytest.raises(ValueError, match='too many copies'):
      _load(data + b'.')


_DEEP = b')' + 10**5 * pickle.TUPLE1
_WIDE = b')' + 100 * (pickle.DUP + pickle.TUPLE2)  # 2**100 leaves.


@pytest.mark.parametrize('key', [_DEEP, _WIDE])
@pytest.mark.parametrize('before, after', [
    (b'}', b'Ns'), (b'}(', b'Nu'), (b'(', b'Nd'), (b'(', pickle.FROZENSET),
    (b'\x8f(', pickle.ADDITEMS),
    (_get('builtins.set'), b'\x85\x85R'),
    (_get('builtins.frozenset'), b'\x85\x85R'),
    (_get('builtins.dict'), b'N\x86\x85\x85R'),
    (_get('collections.OrderedDict'), b'N\x86\x85\x85R')])
def test_keys_are_not_nested_deeply(key, before, after):
  with pytest.raises(ValueError, match='too many parts'):
    _load(before + key + after + b'.')


def test_deep_nesting_is_no_problem_elsewhere():
  assert len(_load(b']' * 10**5 + b'a' * (10**5 - 1) + b'.')) == 1
  assert len(_load(_DEEP + b'.')) == 1


_OBJECTS = [_PLAIN, np.float64(1.5), argparse.Namespace(a=_LIST), _Dict(a=1)]


def test_every_cut_is_an_error():
  data = pickle.dumps(_OBJECTS, 2)
  for size in range(len(data)):
    with pytest.raises(ValueError, match='broken or refused pickle'):
      _load(data[:size])


@pytest.mark.parametrize('protocol', [0, 2, 5])
def test_random_changes(protocol):
  data = pickle.dumps(_OBJECTS, protocol)
  rng = np.random.default_rng(protocol)
  num_errors = 0
  for _ in range(300):
    changed = bytearray(data)
    for position in rng.integers(len(data), size=rng.integers(1, 4)):
      changed[position] = rng.integers(256)
    try:
      _load(bytes(changed))
    except ValueError:
      num_errors += 1
  assert 0 < num_errors < 300
