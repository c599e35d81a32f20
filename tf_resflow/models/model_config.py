"""What every configuration of a model has in common."""

from collections.abc import Mapping
import dataclasses
import json
import os
from typing import Any, Self

from tf_resflow import errors
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.specs import renamed


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(fields.Section):
  """The configuration of one type of model, which it builds.

  A new type derives from this class, has fields made with `fields.field`, and
  is registered: `registries.MODELS.register(NAME, CONFIG_CLASS)`. Its fields
  become flags, and `--model=NAME` trains it.
  """

  data_fingerprint: str = fields.field(
      '', help="Digest of a reader's own data that it is trained on.",
      is_flag=False, changes_function=False)

  def build(self, dtype: str = 'float32') -> Any:
    """Returns a new model, a `models.Flow`.

    Implementations import it here, so that a configuration needs no
    TensorFlow.

    Args:
      dtype: 'float32' or 'float64'.
    """
    raise NotImplementedError

  def training_estimator(self) -> str | None:
    """Returns the spec of the estimator of training; None if it needs none."""
    return None

  @classmethod
  def name(cls) -> str:
    """Returns the name under which this type of model is registered."""
    return registries.MODELS.name_of(cls)

  @classmethod
  def fields_from_data(cls, inferred: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of the fields that are no flags.

    Args:
      inferred: values that follow from the data and the run, by names of
        fields, and the name of the data, `dataset`; those of other types of
        models are passed over.

    Raises:
      InvalidValueError: if one is missing, because the data are of another
        kind.
    """
    inferred = {'data_fingerprint': '', **inferred}
    names = [f.name for f in cls.fields() if not f.is_flag]
    missing = [name for name in names if name not in inferred]
    errors.check(
        not missing, 'model', cls.name(),
        f'a model of {inferred.get("dataset", "such data")}',
        f'These data have no {", ".join(missing)}. Name others as the dataset, '
        'or leave the model out.')
    return {name: inferred[name] for name in names}

  @classmethod
  def of(cls, config: Self | Mapping[str, Any]) -> Self:
    """Returns a configuration, also of stored values of its fields."""
    return config if isinstance(config, cls) else cls(
        **renamed.present_fields(config))

  def inferred_fields(self) -> dict[str, Any]:
    """Returns the fields that follow from the data, see `fields_from_data`."""
    return {f.name: getattr(self, f.name)
            for f in self.fields() if not f.is_flag}

  def function_differences(self, other: 'ModelConfig') -> dict[
      str, tuple[Any, Any]]:
    """Returns what makes the model another function than that of `other`.

    Models may differ in how log-determinants are estimated, in the initial
    weights, and in the number of levels, and compute alike with equal weights.

    Returns:
      From names of fields to the values here and there.
    """
    if type(self) is not type(other):
      return {'model': (self.name(), other.name())}
    return {
        f.name: pair for f, pair in self.changes(other) if f.changes_function}

  def to_json(self) -> str:
    """Returns the type and all fields as JSON."""
    return json.dumps({'model': self.name(), **self.values()}, indent=2)


def model_from_json(text: str, file: str = 'model.json') -> ModelConfig:
  """Returns the configuration of a model of any registered type.

  Args:
    text: what `ModelConfig.to_json` wrote.
    file: where it stands, for messages.

  Raises:
    InvalidValueError: if it describes no model.

  Example:
    >>> config = models.model_from_json('{"model": "vector", "event_size": 3}')
    >>> config.event_size
    3
  """
  try:
    values = json.loads(text)
    errors.check_format(isinstance(values, dict), 'It is no JSON object.')
    values = renamed.present_fields(values)
    config_class = registries.MODELS.get(values.pop('model', None))
    names = [f.name for f in config_class.fields()]
    for name in values:
      errors.check(name in names, 'field', name, f'one of {", ".join(names)}')
    return config_class(**values)
  except ValueError as error:
    raise errors.InvalidValueError(
        'file', file, 'a model of this version', errors.sentence(error)
    ) from None


def load(path: str | os.PathLike) -> ModelConfig:
  """Returns the configuration in a file; see `model_from_json`.

  Raises:
    OSError: if the file cannot be read.
  """
  with open(path, encoding='utf-8') as file:
    return model_from_json(file.read(), os.fspath(path))
