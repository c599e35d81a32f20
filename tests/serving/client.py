"""A server's process: TensorFlow and a SavedModel, and nothing of this project.

Run as `python -I client.py`. Reads a JSON list of pairs from stdin, the folder
of a model and the body of a REST request, and writes the list of the replies
to stdout: `{'outputs': ...}`, or `{'error': ...}`, always with the names of the
outputs.
"""

import json
import sys

_ABSENT = ('tf_resflow', 'tensorflow_probability', 'tests')


class _NotInstalled:
  """Refuses imports, also of what is installed."""

  def find_spec(self, name, path=None, target=None):
    del path, target
    if name.partition('.')[0] in _ABSENT:
      raise ModuleNotFoundError(f'{name} is not installed')


def answer(signatures, body):
  """Returns the reply of a model to the body of a REST request."""
  import tensorflow as tf

  signature = signatures[body['signature_name']]
  specs = signature.structured_input_signature[1]
  try:
    outputs = signature(**{
        name: tf.constant(value, specs[name].dtype)
        for name, value in body['inputs'].items()})
  except tf.errors.InvalidArgumentError as error:
    return {'error': error.message}
  return {'outputs': {
      name: output.numpy().tolist() for name, output in outputs.items()}}


def _main():
  sys.meta_path.insert(0, _NotInstalled())
  import tensorflow as tf

  requests = json.load(sys.stdin)
  models = {folder: tf.saved_model.load(folder) for folder, _ in requests}
  replies = [
      answer(models[folder].signatures, body) for folder, body in requests]
  assert not set(_ABSENT) & {name.partition('.')[0] for name in sys.modules}
  json.dump(replies, sys.stdout)


if __name__ == '__main__':
  _main()
