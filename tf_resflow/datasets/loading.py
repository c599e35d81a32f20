"""Finds a data set, prepares it where that is possible, and opens a part."""

from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import importlib
import io
import os

from absl import logging
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_resflow.datasets import catalog

SPLITS = ('train', 'validation', 'test')


class DatasetNotFoundError(ValueError):
  """A data set is not where it was looked for and cannot be put there."""


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSplit:
  """One part of an image data set, in a fixed order.

  Attributes:
    examples: `tf.data.Dataset` of dicts: `image` uint8 `[H, W, C]` with values
      0..num_levels-1, `label` int32 `[]`, -1 where the set has no labels.
    num_examples: How many there are.
    image_shape: `(H, W, C)`.
    num_levels: Number of grey levels n.
  """

  examples: tf.data.Dataset
  num_examples: int
  image_shape: tuple[int, int, int]
  num_levels: int

  @functools.cached_property
  def arrays(self) -> dict[str, tf.Tensor]:
    """All examples decoded in host memory: `image` `[N, H, W, C]`, `label`.

    Read at the first use and kept. Meant for sets that fit: 154 MB for
    CIFAR-10.
    """
    # init_scope: tensors, not graph nodes, also from within a tf.function.
    with tf.init_scope(), tf.device('/CPU:0'):
      batch = self.examples.batch(self.num_examples)
      return batch.get_single_element()


def load(
  name: str,
  split: str,
  *,
  data_dir: str | os.PathLike | None = None,
  num_bits: int = 8,
  num_validation: int = 0,
  image_size: int | None = None,
  resize: int | None = None,
) -> ImageSplit:
  """Opens one part of a data set.

  The validation part is the last `num_validation` examples of the training
  part, which then lacks them; the test part never changes.

  Sets that an installed package holds (`digits`, `mnist5k`) are prepared on
  first use, and `data_dir` is created where it is absent. The others must lie
  prepared in `data_dir`; without `data_dir`, tfds uses its default folder and
  downloads what is missing there.

  Args:
    name: One of `catalog.names()`.
    split: 'train', 'validation' or 'test'.
    data_dir: Folder that holds prepared data, as `tfds build` writes it.
    num_bits: Bits per pixel and channel, 1..8. Below 8, `X` becomes
      `floor(X / 2^(8 - num_bits))` with `2^num_bits` levels; only for sets of
      256 levels.
    num_validation: Size of the validation part.
    image_size: Height and width that the caller expects, in pixels; a check,
      nothing is resized.
    resize: Height and width to resize the images to, bilinear with
      antialiasing, rounded to whole levels; before bits are reduced.

  Returns:
    The part, as an `ImageSplit`.

  Raises:
    DatasetNotFoundError: If there are no prepared data and they cannot be
      made. It is a `ValueError`.
    ValueError: If an argument does not fit the data set.

  Example:
    >>> train = load('digits', 'train', data_dir='data')
    >>> train.num_examples, train.image_shape, train.num_levels
    (1437, (8, 8, 1), 17)
  """
  facts = catalog.info(name)
  if resize is not None:
    if resize < 1:
      raise ValueError(f'resize={resize}: expected 1 or more')
    facts = dataclasses.replace(
      facts, image_shape=(resize, resize, facts.image_shape[-1])
    )
  _check_arguments(facts, split, num_bits, num_validation, image_size)
  builder = _prepared_builder(facts, data_dir)
  tfds_split = facts.test_split if split == 'test' else facts.train_split
  stored = builder.as_dataset(
    split=tfds_split,
    # Decoded below, after the examples of the other part are skipped.
    decoders={'image': tfds.decode.SkipDecoding()},
    shuffle_files=False,
    # One file after the other, so that the order is the stored one.
    read_config=tfds.ReadConfig(
      interleave_cycle_length=1, try_autocache=False
    ),
  )
  # Asked of the data rather than of the catalog, so that a set prepared in
  # part is noticed here and not as a missing batch in the middle of a run.
  num_examples = int(stored.cardinality())
  _check_size(facts, split, builder, num_examples)
  if split != 'test' and num_validation:
    if num_validation >= num_examples:
      raise ValueError(
        f'num_validation={num_validation}: the training part of {name!r} has '
        f'only {num_examples} examples; choose fewer'
      )
    num_train = num_examples - num_validation
    if split == 'train':
      stored, num_examples = stored.take(num_train), num_train
    else:
      stored, num_examples = stored.skip(num_train), num_validation

  image_feature = builder.info.features['image']

  def decode(example):
    image = image_feature.decode_example(example['image'])
    if resize is not None:
      image = tf.image.resize(image, [resize, resize], antialias=True)
      image = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
    image = tf.ensure_shape(image, facts.image_shape)
    if num_bits < 8:
      image = tf.bitwise.right_shift(image, tf.cast(8 - num_bits, tf.uint8))
    label = example['label'] if facts.num_classes else -1
    return {'image': image, 'label': tf.cast(label, tf.int32)}

  return ImageSplit(
    examples=stored.map(
      decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    ),
    num_examples=num_examples,
    image_shape=facts.image_shape,
    num_levels=facts.num_levels if num_bits == 8 else 2**num_bits,
  )


def _check_arguments(
  facts: catalog.DatasetInfo,
  split: str,
  num_bits: int,
  num_validation: int,
  image_size: int | None,
) -> None:
  """Raises ValueError for arguments of `load` that do not fit the set."""
  if split not in SPLITS:
    raise ValueError(
      f'unknown split {split!r}: expected one of {", ".join(SPLITS)}'
    )
  if not 1 <= num_bits <= 8:
    raise ValueError(f'num_bits={num_bits}: expected 1..8')
  if num_bits != 8 and facts.num_levels != 256:
    raise ValueError(
      f'num_bits={num_bits}: {facts.name!r} has {facts.num_levels} levels, '
      'not 256, so its bits cannot be reduced; leave num_bits at 8'
    )
  if num_validation < 0:
    raise ValueError(f'num_validation={num_validation}: expected 0 or more')
  if split == 'validation' and not num_validation:
    raise ValueError(
      "split 'validation' is empty with num_validation=0: give the number of "
      'examples to take from the end of the training part'
    )
  height, width, _ = facts.image_shape
  if image_size is not None and (image_size, image_size) != (height, width):
    raise ValueError(
      f'image_size={image_size}: the images of {facts.name!r} are '
      f'{height} x {width}; leave image_size out or choose another data set'
    )


def _check_size(
  facts: catalog.DatasetInfo,
  split: str,
  builder: tfds.core.DatasetBuilder,
  num_examples: int,
) -> None:
  """Raises ValueError if the prepared data are not the whole set."""
  expected = facts.num_test if split == 'test' else facts.num_train
  # A builder without recorded splits serves generated stand-ins of any size.
  if builder.info.splits and num_examples != expected:
    part = 'test' if split == 'test' else 'training'
    raise ValueError(
      f'the {part} part of {facts.name!r} in {builder.data_dir} has '
      f'{num_examples} examples, expected {expected}: delete that folder and '
      'prepare the data set again'
    )


def _prepared_builder(
  facts: catalog.DatasetInfo, data_dir: str | os.PathLike | None
) -> tfds.core.DatasetBuilder:
  """Returns a tfds builder whose data are on disk.

  Args:
    facts: The data set.
    data_dir: Folder given by the user, or None for that of tfds.

  Returns:
    The builder, prepared.

  Raises:
    DatasetNotFoundError: If the data are neither there nor to be made.
  """
  if data_dir is not None:
    data_dir = os.path.expanduser(os.fspath(data_dir))
  if facts.is_embedded:
    # Importing the module registers its builder with tfds.
    importlib.import_module(f'tf_resflow.datasets.{facts.name}')
  elif data_dir is not None and not tf.io.gfile.isdir(data_dir):
    raise DatasetNotFoundError(
      f'no data set {facts.name!r}: the folder {data_dir} does not exist; '
      + _advice(facts, data_dir)
    )
  try:
    with _quiet():
      builder = tfds.builder(facts.name, data_dir=data_dir)
      if builder.is_prepared():
        return builder
      if facts.is_embedded:
        builder.download_and_prepare()
        return builder
    if data_dir is None:
      builder.download_and_prepare()
      return builder
  except Exception as error:  # tfds documents no common error type.
    # Another process may have prepared the same folder meanwhile.
    with _quiet(), contextlib.suppress(Exception):
      builder = tfds.builder(facts.name, data_dir=data_dir)
      if builder.is_prepared():
        return builder
    # Then the message itself says what to install.
    needs_package = facts.is_embedded and isinstance(error, ImportError)
    raise DatasetNotFoundError(
      f'cannot prepare the data set {facts.name!r} in '
      f'{data_dir or "the default folder of tfds"}: {_one_line(error)}'
      + ('' if needs_package else '; ' + _advice(facts, data_dir))
    ) from None
  raise DatasetNotFoundError(
    f'no data set {facts.name!r}: nothing prepared in {builder.data_dir}; '
    + _advice(facts, data_dir)
  )


def _advice(facts: catalog.DatasetInfo, data_dir: str | None) -> str:
  """Returns what the user can do when a data set is missing."""
  if facts.is_embedded:
    return 'pass a data_dir that can be written to'
  return (
    f'run `tfds build {facts.name} --data_dir {data_dir or "DIR"}` on a '
    'machine with network, or pass the data_dir that holds it'
  )


def _one_line(error: Exception) -> str:
  """Returns an error's type and message, with all white space made single."""
  text = ' '.join(str(error).split())
  return f'{type(error).__name__}: {text[:300]}'


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Silences tfds where it has nothing to say to the user.

  It prints a notice, progress bars and a warning for every folder that it is
  about to create.
  """
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    with (
      contextlib.redirect_stdout(io.StringIO()),
      contextlib.redirect_stderr(io.StringIO()),
    ):
      yield
  finally:
    logging.set_verbosity(verbosity)
