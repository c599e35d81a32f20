"""Fails where an upgrade changes what is used beyond public names."""

import io

from tf_resflow import private_apis


def test_an_unpickler_in_python():
  unpickler = private_apis.python_unpickler()(io.BytesIO(b'](K\x01e.'))
  assert unpickler.load() == [1]
  assert unpickler.dispatch[ord('b')].__name__ == 'load_build'
  assert unpickler.dispatch[ord('}')].__name__ == 'load_empty_dictionary'
