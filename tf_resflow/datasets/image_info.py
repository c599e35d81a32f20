"""Data sets of images of integers."""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar, Self

from tf_resflow import errors
from tf_resflow.datasets import dataset_info


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageInfo(dataset_info.DatasetInfo):
  """Facts about one image data set; `DatasetInfo` has the other attributes.

  Attributes:
    image_shape: `(height, width, channels)` in pixels.
    num_levels: Grey levels n; pixel values are the integers 0..n-1.
    train_split: tfds split of the training part.
    test_split: tfds split of the test part.
    load_fn: Maps 'train' or 'test' to images, uint8 `[N, H, W, C]`, and labels
      `[N]` or None; for data that tfds does not know.
    files: Names of the array files of 'train' and 'test', patterns with `*`;
      such files in `data_dir` take the place of a tfds data set.
    manual_file: Name of the file that tfds cannot download, if there is one.
    resize: Height and width that stored images are resized to; None for none.
    stored: The images that these are made of, with more bits or of another
      size; None where they are stored as they are.

  Example:
    >>> def load(part):
    ...   return np.zeros([6, 4, 4, 1], np.uint8), np.arange(6) % 2
    >>> dark = ImageInfo(name='dark', image_shape=(4, 4, 1), num_levels=256,
    ...                  num_classes=2, load_fn=load)
    >>> dark.changed(num_bits=5).num_levels
    32
  """

  model: ClassVar[str] = 'image'
  opener: ClassVar[str] = 'tf_resflow.datasets.images:open_split'

  image_shape: tuple[int, int, int]
  num_levels: int = 256
  train_split: str = 'train'
  test_split: str = 'test'
  load_fn: dataset_info.LoadFn | None = None
  files: Mapping[str, str] = dataclasses.field(default_factory=dict)
  manual_file: str = ''
  resize: int | None = None
  stored: Self | None = None

  @property
  def event_shape(self) -> tuple[int, ...]:
    return self.image_shape

  def changed(self, num_bits: int = 8, resize: int | None = None) -> Self:
    errors.check(
      resize is None or resize >= 1, 'resize', resize, 'a whole number from 1'
    )
    errors.check(1 <= num_bits <= 8, 'num_bits', num_bits, '1 to 8')
    errors.check(
      num_bits == 8 or self.num_levels == 256, 'num_bits', num_bits,
      f'8, since {self.name} has {self.num_levels} levels',
      'Only 256 levels can be reduced.',
    )
    height, width, channels = self.image_shape
    return dataclasses.replace(
      self,
      image_shape=(resize or height, resize or width, channels),
      num_levels=min(self.num_levels, 2**num_bits),
      resize=resize or self.resize,
      stored=self.stored or self,
    )

  def facts(self) -> dict[str, Any]:
    return {
      'image_shape': self.image_shape,
      'num_levels': self.num_levels,
      'num_classes': self.num_classes,
    }

  def require_images(self, name: str, value: Any, default: Any) -> None:
    pass
