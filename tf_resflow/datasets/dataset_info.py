"""What is known about a data set before any of it is read."""

import abc
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import importlib
import os
from typing import Any, ClassVar, Self

import numpy as np

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.datasets import condition_info

# A function from 'train' or 'test' to examples, their labels or None, and
# perhaps their conditions.
LoadFn = Callable[[str], tuple[np.ndarray | None, ...]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo(abc.ABC):
  """Facts about one data set; kinds are `ImageInfo`, `VectorInfo` and others.

  A reader's own one joins the others in one line,
  `registries.DATASETS.register(NAME, INFO)`; then `--dataset=NAME` takes it.

  Attributes:
    model: Class attribute, the name of the type of model that such data get
      where none is asked for, of `registries.MODELS`.
    opener: Class attribute, `'module:function'` of what opens a part.
    num_levels: Number of levels of images of integers; None for vectors.
    name: As `--dataset=` has it.
    num_classes: Number of labels; 0 if there are none.
    num_train: Examples in the training part, validation included; None where
      that need not be checked.
    num_test: Examples in the test part, likewise.
    is_embedded: Whether nothing is downloaded, and examples are so small that
      certificates take seconds.
    description: One sentence.
    homepage: Where it is described.
    fingerprint: A digest of data that may change, so that a run notices it;
      empty for those of the catalogue.
    entry_fn: Returns facts about the conditions that come with the examples,
      and these of 'train' and 'test', where some do.
    condition: Facts about those that a model depends on, see `conditioned`;
      None for none.
  """

  model: ClassVar[str]
  opener: ClassVar[str]

  name: str
  num_classes: int = 0
  num_train: int | None = None
  num_test: int | None = None
  is_embedded: bool = False
  description: str = ''
  homepage: str = ''
  fingerprint: str = ''
  entry_fn: Callable[
    [], tuple[condition_info.ConditionInfo, Mapping[str, np.ndarray]]
  ] | None = None
  condition: condition_info.ConditionInfo | None = None

  @property
  @abc.abstractmethod
  def event_shape(self) -> tuple[int, ...]:
    """The shape of an example."""

  @abc.abstractmethod
  def facts(self) -> dict[str, Any]:
    """Returns what a model has to know, by names of the model's fields."""

  def open(
    self, split: str, data_dir: str | os.PathLike | None = None,
    num_validation: int = 0,
  ) -> 'datasets.Split':
    """Opens a part; `datasets.load` has the arguments, and has checked them."""
    # Imported here: facts need no TensorFlow.
    module, function = self.opener.split(':')
    opened = getattr(importlib.import_module(module), function)(
      self, split, data_dir, num_validation
    )
    return opened if self.condition is None else opened.conditioned(
      self.condition)

  def conditioned(self, names: Sequence[str]) -> Self:
    """Returns the facts about the same data, for a model `p(x|c)`.

    Args:
      names: What the condition is: `('label',)`, or `('condition',)` for the
        conditions that come with the examples. Of a table, names of columns,
        which are no part of `x` then.

    Raises:
      InvalidValueError: If the data have nothing of the kind.
    """
    known = {}
    if self.num_classes:
      known[condition_info.LABEL] = self._conditioned_on_labels
    if self.entry_fn is not None:
      known[condition_info.ENTRY] = self._conditioned_on_entry
    errors.check(
      len(names) == 1 and names[0] in known, 'condition', ','.join(names),
      ' or '.join(known) or f'none with dataset={self.name}',
      f'It is what {self.name} has beside x.' if known else
      'These data have neither labels nor conditions, nor columns with names.',
    )
    return known[names[0]]()

  def _conditioned_on_labels(self):
    return dataclasses.replace(self, condition=condition_info.ConditionInfo(
      num_labels=self.num_classes, is_label=True))

  def _conditioned_on_entry(self):
    condition, parts = self.entry_fn()
    return dataclasses.replace(
      self, condition=condition,
      load_fn=lambda part: (*self.load_fn(part), parts[part]),
    )

  def condition_facts(self) -> dict[str, Any]:
    """Returns what a model has to know of conditions."""
    return (self.condition or condition_info.ConditionInfo()).facts()

  def changed(self, num_bits: int = 8, resize: int | None = None) -> Self:
    """Returns the facts about images with fewer bits or of another size.

    Raises:
      InvalidValueError: For what only images can be.
    """
    for name, value, default in (
      ('num_bits', num_bits, 8), ('resize', resize, None)
    ):
      if value != default:
        self.require_images(name, value, default)
    return self

  def require_images(self, name: str, value: Any, default: Any) -> None:
    """Raises `InvalidValueError` for a value that only images can have.

    Args:
      name: Of the field.
      value: That was given.
      default: That has no effect.
    """
    raise errors.InvalidValueError(
      name, value, f'{default} with dataset={self.name}',
      'It is for images, and these are vectors.',
    )
