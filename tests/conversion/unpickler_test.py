"""What the program makes of pickles; attacks are in pickles_test.py."""

import argparse
import collections
import io
import json
import pathlib
import pickle
import subprocess
import sys

import pytest

from tests.conversion import torch_writer
from tf_resflow.conversion import unpickler

_plain = torch_writer.fragment
_get = torch_writer.global_fragment
_PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def _read(data, count=1):
  """Returns what the program prints, after JSON; a str is an error."""
  return json.loads(unpickler.read(io.BytesIO(data), count))


def _value(data):
  ((value,), ((),), end) = _read(data)
  assert end == len(data)
  return value


def _node(path, *args, state=None):
  return {'path': path, 'args': list(args), 'state': state}


def _dict(**items):
  return {'dict': [[key, value] for key, value in items.items()]}


@pytest.mark.parametrize('protocol', _PROTOCOLS)
def test_plain_objects(protocol):
  value = [0, 1, -1, 255, 256, 65536, -2**31, 2**40, -2**80, 10**300, 0.1,
           float('-inf'), True, False, None, '', 'quoted \' " \\', 'zwölf',
           '\U0001f600', '\ud800', 'x' * 300, (), (1,), (1, 2, 3, 4), [[]]]
  found = _value(pickle.dumps(value, protocol))
  expected = json.loads(json.dumps(value))
  # True is not 1 there.
  assert repr(found) == repr(expected)
  found = _value(pickle.dumps({'a': {2: 3}, -1: []}, protocol))
  assert found == {'dict': [['a', {'dict': [[2, 3]]}], [-1, []]]}
  ordered = collections.OrderedDict([('b', 1), ('a', 2)])
  assert _value(pickle.dumps(ordered, protocol)) == _dict(b=1, a=2)


@pytest.mark.parametrize('value', [
    {1}, frozenset([1]), b'x', bytearray(b'x'), 1j, slice(1, 2)])
def test_other_objects_are_named(value):
  node = _value(pickle.dumps([value], 5))[0]
  assert node['path'].rpartition('.')[2] == type(value).__name__


def test_python_2():
  data = b"(dS'text'\nU\x03abcs" + b'T\x02\x00\x00\x00\xff\xfec__builtin__\n'
  assert _value(data + b'set\n((lI1\natRs.') == {'dict': [
      ['text', 'abc'], ['\xff\xfe', _node('__builtin__.set', [1])]]}


class _Plain:
  pass


class _List(list):
  pass


class _Dict(dict):
  pass


class _Set(set):
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


@pytest.mark.parametrize('protocol', _PROTOCOLS[2:])
def test_objects_become_stand_ins(protocol):
  plain = _Plain()
  # Names that would matter if they were set on the stand-in.
  vars(plain).update(args=3, path=4, __class__=5)
  value = [plain, _Dict(a=1), _List([1, 2]), _Set([1]), _Custom(keyword=1),
           argparse.Namespace(lr=0.1), _Plain]
  found = _value(pickle.dumps(value, protocol))
  assert found[0] == _node(
      f'{__name__}._Plain', state=_dict(args=3, path=4, __class__=5))
  assert [node['path'].rpartition('.')[2] for node in found[1:4]] == [
      '_Dict', '_List', '_Set']
  assert found[4]['state'] == [1, 2]
  assert found[5] == _node('argparse.Namespace', state=_dict(lr=0.1))
  assert found[6] == _node(f'{__name__}._Plain')


@pytest.mark.parametrize('protocol', [0, 1])
def test_objects_of_old_protocols(protocol):
  found = _value(pickle.dumps(argparse.Namespace(lr=0.1), protocol))
  assert found['args'][0] == _node('argparse.Namespace')
  assert found['state'] == _dict(lr=0.1)


def test_attributes_of_containers_are_dropped():
  data = _plain(collections.OrderedDict(a=1)) + _plain(
      {'_metadata': 1, 'items': 'hides the method'}) + b'b.'
  assert _value(data) == _dict(a=1)


def test_dicts_inside_of_others():
  namespace = argparse.Namespace(deep={'a': {}})
  namespace.own = namespace
  found = _value(pickle.dumps({'args': namespace}))
  (_, node), = found['dict']
  (_, deep), (_, own) = node['state']['dict']
  assert deep == _dict(a=_node('dict'))
  assert own['state'] == {'dict': [
      ['deep', _node('dict')],
      ['own', _node('argparse.Namespace', state=_node('dict'))]]}


def test_persistent_ids():
  data = (b'}' + _plain('a') + b'}' + _plain('b') + b'}' + _plain('c') + b'}'
          + _plain('d') + _plain((7,)) + pickle.BINPERSID + b'ssss'
          + _plain('e') + _plain([8]) + pickle.BINPERSID + b's.')
  (value,), (ids,), _ = _read(data)
  # The first is too deep to show.
  assert ids == [_node('persistent id', [7]), _node('persistent id', [8])]
  assert value['dict'][1] == ['e', ids[1]]
  module = (_plain('module'), _get('flows.Net'), b'NN')
  data = b'(' + b''.join(module) + b't' + pickle.BINPERSID + b')\x81.'
  assert _read(data)[:2] == [[_node('flows.Net')], [[]]]


def test_several_pickles():
  data = pickle.dumps([1], 2) + pickle.dumps([2], 4)
  assert _read(data + b'rest', 2) == [[[1], [2]], [[], []], len(data)]
  assert _read(data, 3) == 'EOFError: Ran out of input'


@pytest.mark.parametrize('protocol', _PROTOCOLS)
def test_every_cut_is_an_error(protocol):
  data = pickle.dumps([{'a': [1, 2.5, 'text', (None,)]}, _Plain()], protocol)
  for size in range(len(data)):
    assert isinstance(_read(data[:size]), str)


@pytest.mark.parametrize('key, said', [
    ((1, 2), 'type tuple'), (None, 'type NoneType'), (True, 'type bool'),
    (1.5, 'type float'), (b'a', 'type bytes'), (2**60, 'huge number'),
    (-2**70, 'huge number')])
def test_keys(key, said):
  assert said in _read(pickle.dumps({'a': {key: 1}}, 4))


def test_too_much(monkeypatch):
  monkeypatch.setattr(unpickler, '_MAX_SIZE', 1000)
  shared = ['x' * 100]
  assert isinstance(_read(pickle.dumps([shared] * 5)), list)
  for value in ([shared] * 10, 'x' * 1000, [0] * 1000):
    assert 'too many objects' in _read(pickle.dumps(value))
  cyclic = []
  cyclic.append(cyclic)
  assert 'RecursionError' in _read(pickle.dumps(cyclic))
  assert 'RecursionError' in _read(b']' * 10**5 + b'a' * (10**5 - 1) + b'.')
  assert len(_read(b'c' + b'x' * 500 + b'\n\n' + b'x' * 500 + b'\n.')) < 300


def test_names_are_not_looked_up():
  for name in ('this', 'antigravity', 'turtledemo.clock'):
    assert name not in sys.modules
    assert _value(_get(f'{name}.s') + b'.') == _node(f'{name}.s')
    assert name not in sys.modules


@pytest.mark.parametrize('state', [{'args': 1, 'x': 3}, (None, {'x': 3})])
@pytest.mark.parametrize('name', [
    'collections.OrderedDict', 'argparse.Namespace'])
def test_classes_cannot_be_changed(name, state):
  before = dict(vars(unpickler.StandIn))
  for change in (_plain(state) + b'b', _plain('x') + _plain(1) + b's'):
    assert isinstance(_read(_get(name) + change + b'.'), str)
  assert dict(vars(unpickler.StandIn)) == before
  for cls in (collections.OrderedDict, argparse.Namespace):
    assert not hasattr(cls, 'x')


def test_only_the_standard_library_is_loaded():
  script = (
      'import runpy, sys; runpy.run_path(sys.argv[1]); '
      'print(*{name.partition(".")[0] for name in sys.modules})')
  process = subprocess.run(
      [sys.executable, '-I', '-S', '-c', script,
       pathlib.Path(unpickler.__file__)],
      capture_output=True, text=True, check=True)
  assert set(process.stdout.split()) <= sys.stdlib_module_names | {'__main__'}
