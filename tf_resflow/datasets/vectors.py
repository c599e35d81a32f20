"""Opens a part of a data set of vectors, stored or drawn."""

from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.datasets import split as split_lib
from tf_resflow.datasets import vector_info

# Seeds of the parts, whose points are the same in every run. A run's own seed
# draws those that it trains on.
_SEEDS = {'train': 2_147_483_001, 'validation': 2_147_483_002,
          'test': 2_147_483_003}


def open_split(
  info: vector_info.VectorInfo, split: str, unused_data_dir: Any,
  num_validation: int,
) -> split_lib.Split:
  """Opens a part of a data set of vectors; see `datasets.load`."""
  x, labels, *others = info.load_fn('test' if split == 'test' else 'train')
  errors.check(
    np.issubdtype(x.dtype, np.floating) and x.shape[1:] == info.event_shape
    and np.all(np.isfinite(x)), 'x', f'{x.dtype} {list(x.shape)}',
    f'finite floats [N, {info.event_size}] of load_fn of {info.name}',
  )
  labels = np.full([len(x)], -1) if labels is None else labels
  errors.check(
    len(labels) == len(x), 'labels', len(labels),
    f'{len(x)} labels of load_fn of {info.name}',
  )
  examples, size = split_lib.take_part(
    tf.data.Dataset.from_tensor_slices(
      {
        'x': x.astype(np.float32), 'label': labels.astype(np.int32),
        **split_lib.conditions_of(info, others),
      }
    ), len(x), split, num_validation, info.name,
  )
  return split_lib.Split(examples, size, info.event_shape)


def open_drawn(
  info: vector_info.DrawnInfo, split: str, unused_data_dir: Any,
  num_validation: int,
) -> split_lib.Split:
  """Opens a part of a data set that is drawn; see `datasets.load`.

  The training part has `num_train` fixed points for those who want to look at
  some, and `draw_fn` for those who train.
  """
  size = {'train': info.num_train, 'validation': num_validation,
          'test': info.num_test}[split]
  seed = tf.constant(_SEEDS[split], tf.int64)
  first = info.draw_fn(tf.stack([seed, 0]))
  errors.check(
    (first.dtype, first.shape) == (tf.float32, info.event_shape), 'x',
    f'{first.dtype.name} {first.shape}',
    f'float32 {list(info.event_shape)} of draw_fn of {info.name}',
  )

  def example(index):
    x = info.draw_fn(tf.stack([seed, index]))
    return {
      'x': tf.ensure_shape(x, info.event_shape),
      'label': tf.constant(-1, tf.int32),
    }

  return split_lib.Split(
    tf.data.Dataset.range(size).map(
      example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    ), size, info.event_shape, draw_fn=info.draw_fn,
  )
