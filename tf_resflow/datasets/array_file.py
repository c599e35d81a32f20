"""An array of images or vectors in a file, as a data set."""

import functools
import zipfile
import zlib

import numpy as np

from tf_resflow.datasets import array_conditions
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import image_info
from tf_resflow.datasets import own_files
from tf_resflow.datasets import vector_info

_EXPECTED = (
  'an .npz file with an array x, uint8 images [n, H, W, 1 or 3] or float '
  'vectors [n, D], and perhaps label [n], condition [n, K] (or whole numbers '
  '[n]), and the same with _test; or an .npy file of such an x'
)
_MIN_EXAMPLES = 10


@own_files.cached_by_file
def open_file(path: str) -> dataset_info.DatasetInfo:
  """Reads an array of examples.

  Where there is no `x_test`, a fifth of the examples, always the same, is the
  test part. Vectors are standardised by the mean and the deviation of those
  that train.

  Args:
    path: Of an .npz or .npy file.

  Raises:
    InvalidValueError: If it is no such file.

  Example:
    >>> np.savez('noise.npz', x=np.random.default_rng(0).normal(size=[50, 3]))
    >>> open_file('noise.npz').event_shape
    (3,)
  """

  def check(condition, advice):
    own_files.check(condition, 'array', path, _EXPECTED, advice)

  arrays = _read(path, check)
  x, labels = arrays.get('x'), arrays.get('label')
  check(x is not None, f'Its arrays are {", ".join(arrays) or "none"}.')
  _check_examples('x', x, labels, check)
  if 'x_test' in arrays:
    test, test_labels = arrays['x_test'], arrays.get('label_test')
    _check_examples('x_test', test, test_labels, check)
    check(
      test.shape[1:] == x.shape[1:] and test.dtype.kind == x.dtype.kind,
      f'Its x is {x.dtype} {list(x.shape)} and x_test {test.dtype} '
      f'{list(test.shape)}.',
    )
    check(
      (labels is None) == (test_labels is None), 'It has labels of x or of '
      'x_test alone: label and label_test go together.',
    )
    check(
      labels is None or test_labels.max() <= labels.max(),
      'Its label_test has a class that label lacks.',
    )
    check(len(test) >= 2, 'Its x_test has one example; a standard error needs '
          'two.')
    # A validation part is the end of what trains: it should hold all classes.
    rows = {'train': own_files.split_order(len(x))}
    parts = {'test': (test, test_labels)}
  else:
    check(
      len(x) >= _MIN_EXAMPLES, f'It has {len(x)} examples; a held-out part '
      f'needs {_MIN_EXAMPLES} at least.',
    )
    rows = dict(zip(
      ('train', 'test'), own_files.held_out(len(x)), strict=True
    ))
    parts = {}
  parts |= {
    name: (x[part], None if labels is None else labels[part])
    for name, part in rows.items()
  }
  facts = {
    'name': f'array:{path}', 'description': 'An array of your own.',
    'num_train': len(parts['train'][0]), 'num_test': len(parts['test'][0]),
    'num_classes': 0 if labels is None else int(labels.max()) + 1,
    'load_fn': parts.__getitem__,
    'entry_fn': functools.partial(
      array_conditions.read, arrays, rows, check
    ) if 'condition' in arrays else None,
    'fingerprint': own_files.fingerprint(
      *(part for name in sorted(arrays) for part in (name, arrays[name]))
    ),
  }
  if x.dtype == np.uint8:
    return image_info.ImageInfo(
      image_shape=x.shape[1:], num_levels=256, **facts
    )
  mean, std = own_files.standardisation(
    [f'{i} of x' for i in range(x.shape[1])], parts['train'][0],
    parts['test'][0], check,
  )
  return vector_info.VectorInfo(
    event_size=x.shape[1], mean=mean, std=std, **facts
  )


def _read(path, check):
  """Returns the arrays of a file by their names."""
  try:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
      return {'x': loaded}
    with loaded:
      return {name: loaded[name] for name in loaded.files}
  except FileNotFoundError:
    check(False, 'There is no such file.')
  except IsADirectoryError:
    check(False, 'It is a folder; images:FOLDER takes one.')
  except (OSError, ValueError, EOFError, NotImplementedError,
          zipfile.BadZipFile, zlib.error) as error:
    check(False, f'It cannot be read: {error}.')


def _check_examples(name, x, labels, check):
  """Checks one array of examples and that of its labels."""
  is_image = x.dtype == np.uint8 and x.ndim == 4 and x.shape[-1] in (1, 3)
  is_vector = np.issubdtype(x.dtype, np.floating) and x.ndim == 2
  check(
    (is_image or is_vector) and x.size > 0,
    f'Its {name} is {x.dtype} {list(x.shape)}.',
  )
  if is_vector:
    bad = np.argwhere(~np.isfinite(x))
    check(
      not len(bad), f'Its {name} holds {len(bad)} numbers that are not finite, '
      f'the first in row {bad[0][0] if len(bad) else 0}.',
    )
  check(
    labels is None or (
      labels.shape == (len(x),) and np.issubdtype(labels.dtype, np.integer)
      and labels.min() >= 0
    ), f'The labels of {name} are '
    f'{"none" if labels is None else f"{labels.dtype} {list(labels.shape)}"}, '
    'not one whole number from 0 for each example.',
  )
