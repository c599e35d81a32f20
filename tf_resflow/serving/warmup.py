"""Requests that TensorFlow Serving answers before it serves a model.

The first request of a signature takes longer than the others. The server sends
itself those of `assets.extra/tf_serving_warmup_requests` when it loads a model:
a TFRecord file of `PredictionLog` protocol buffers.
"""

from collections.abc import Mapping, Sequence
import os

import tensorflow as tf

from tf_resflow import errors

ASSETS = 'assets.extra'
_FILE = 'tf_serving_warmup_requests'


def check_is_installed() -> None:
  """Raises `InvalidValueError` unless tensorflow-serving-api is installed."""
  try:
    from tensorflow_serving.apis import prediction_log_pb2  # noqa: F401
  except ImportError as error:
    raise errors.InvalidValueError(
        'warmup', 'true', 'false where tensorflow-serving-api is missing',
        f'Importing it says: {error}. Install it with pip install '
        "'tf_resflow[serving]', or leave the requests out with --nowarmup."
    ) from error


def example(spec: tf.TensorSpec) -> tf.Tensor:
  """Returns a valid input of a signature: one image, latent or sample."""
  if spec.name in ('num_samples', 'temperature'):
    return tf.ones([], spec.dtype)
  shape = [1 if n is None else n for n in spec.shape]
  return tf.zeros(shape, spec.dtype)


def write_requests(
    folder: str, specs: Mapping[str, Sequence[tf.TensorSpec]]) -> None:
  """Writes one request per signature.

  Args:
    folder: of the SavedModel.
    specs: of the inputs, by names of signatures.
  """
  from tensorflow_serving.apis import predict_pb2
  from tensorflow_serving.apis import prediction_log_pb2

  os.makedirs(os.path.join(folder, ASSETS), exist_ok=True)
  with tf.io.TFRecordWriter(os.path.join(folder, ASSETS, _FILE)) as writer:
    for name, inputs in specs.items():
      request = predict_pb2.PredictRequest()
      request.model_spec.signature_name = name
      for spec in inputs:
        request.inputs[spec.name].CopyFrom(
            tf.make_tensor_proto(example(spec).numpy()))
      log = prediction_log_pb2.PredictionLog(
          predict_log=prediction_log_pb2.PredictLog(request=request))
      writer.write(log.SerializeToString())
