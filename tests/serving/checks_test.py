"""What a server refuses, and that it says what it expected.

Requests go through the signatures of a loaded SavedModel, as graphs.
"""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import numerics
from tf_resflow import serving

_IMAGES = np.zeros([2, 8, 8, 1], np.uint8)
_SEED = np.array([0, 1], np.int32)
_SAMPLE = {'num_samples': np.int32(1), 'seed': _SEED,
           'temperature': np.float32(1.0)}
_LATENTS = np.zeros([2, 64], np.float32)


@pytest.mark.parametrize(('name', 'inputs', 'said'), [
    ('encode', {'images': _IMAGES[:, 1:]}, [
        'tensor images [2,7,8,1]', 'expected shape [?,8,8,1]']),
    ('classify', {'images': _IMAGES[0]}, [
        'tensor images [8,8,1]', 'expected shape [?,8,8,1]']),
    ('encode', {'images': _IMAGES[:0]}, [
        'images is an empty batch; expected 1 or more']),
    ('encode', {'images': _IMAGES + 1.0}, [
        'input #0(zero-based) was expected to be a uint8 tensor but is a ']),
    ('encode', {'images': _IMAGES + np.uint8(17)}, [
        'images has the level', '[17]', 'expected levels 0 to 16']),
    ('log_prob', {'images': _IMAGES, 'seed': _SEED[:1]}, [
        'tensor seed [1]', 'expected shape [2]']),
    ('log_prob', {'images': _IMAGES[..., 0], 'seed': _SEED}, [
        'tensor images [2,8,8]', 'expected shape [?,8,8,1]']),
    ('log_prob', {'images': _IMAGES + np.uint8(200), 'seed': _SEED}, [
        'images has the level', '[200]', 'expected levels 0 to 16']),
    ('sample', _SAMPLE | {'num_samples': np.int32(0)}, [
        'num_samples is', '[0]', 'expected 1 to 4096']),
    ('sample', _SAMPLE | {'num_samples': np.int32(4097)}, [
        'num_samples is', '[4097]', 'expected 1 to 4096']),
    ('sample', _SAMPLE | {'num_samples': np.int32([1])}, [
        'tensor num_samples [1]', 'expected shape []']),
    ('sample', _SAMPLE | {'temperature': np.float32(-0.5)}, [
        'temperature is', '[-0.5]', 'expected a finite number, 0 or more']),
    ('sample', _SAMPLE | {'temperature': np.float32('inf')}, [
        'temperature is', '[inf]', 'expected a finite number, 0 or more']),
    ('sample', _SAMPLE | {'seed': np.int32([0, 1, 2])}, [
        'tensor seed [3]', 'expected shape [2]']),
    ('decode', {'latents': _LATENTS[:, 1:]}, [
        'tensor latents [2,63]', 'expected shape [?,64]']),
    ('decode', {'latents': _LATENTS + np.float32('nan')}, [
        'latents has numbers that are not finite; expected']),
    ('decode', {'latents': _LATENTS[:0]}, [
        'latents is an empty batch; expected 1 or more']),
])
def test_bad_requests(signatures, name, inputs, said):
  with pytest.raises(tf.errors.InvalidArgumentError) as error:
    signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
  for fragment in said:
    assert fragment in error.value.message


def test_good_requests_at_the_edges(signatures):
  largest = tf.constant(_IMAGES[:1] + np.uint8(16))
  signatures['log_prob'](images=largest, seed=tf.constant([-1, 2**31 - 1]))
  signatures['sample'](
      **{k: tf.constant(v) for k, v in _SAMPLE.items() if k != 'temperature'},
      temperature=tf.constant(0.0))


def test_dtypes_from_python(model):
  flow = serving.IntegerFlow(model, numerics.Exact())
  with pytest.raises(ValueError, match='images=a tensor int64: expected uint8 '
                     r'\(None, 8, 8, 1\)'):
    flow.encode(np.zeros([1, 8, 8, 1], np.int64))
