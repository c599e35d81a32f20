"""Base class of model configurations, and their JSON files."""

from collections.abc import Mapping
import dataclasses
import json
import os
from typing import Any, ClassVar, Self

from tf_resflow import errors
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.specs import renamed


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(fields.Section):
  """Configuration of one model type, which builds the model.

  To add a model type, derive from this class, define its fields with
  `fields.field`, and call `registries.MODELS.register(NAME, CONFIG_CLASS)`. Its
  fields become flags, and `--model=NAME` trains it.

  Attributes:
    takes_input_noise: whether the model has a method `perturb`, which adds
      noise to its data, see `VectorFlow`.
  """

  data_fingerprint: str = fields.field(
      '', help='Digest of user-provided training data.',
      is_flag=False, changes_function=False)

  takes_input_noise: ClassVar[bool] = False

  @property
  def is_image(self) -> bool:
    """Whether the model is one of images of integers."""
    return getattr(self, 'num_levels', None) is not None

  def build(self, dtype: str = 'float32') -> Any:
    """Returns a new `models.Flow` of dtype 'float32' or 'float64'.

    Implementations import the model here, so that configurations do not import
    TensorFlow.
    """
    raise NotImplementedError

  def training_estimator(self) -> str | None:
    """Returns the spec of the training estimator; None if not needed."""
    return None

  @classmethod
  def name(cls) -> str:
    """Returns the registered name of this model type."""
    return registries.MODELS.name_of(cls)

  @classmethod
  def fields_from_data(cls, inferred: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of the fields that are not flags.

    Args:
      inferred: values that follow from the data and the run, by field name, and
        the name of the data set, `dataset`; fields of other model types are
        ignored.

    Raises:
      InvalidValueError: if a value is missing: the data do not fit the model.
    """
    inferred = {'data_fingerprint': '', **inferred}
    names = [f.name for f in cls.fields() if not f.is_flag]
    missing = [name for name in names if name not in inferred]
    errors.check(
        not missing, 'model', cls.name(),
        problem=f'cannot be used with {inferred.get("dataset", "these data")}',
        advice=f'These data have no {", ".join(missing)}. Give a data set for '
        'this model, such as --dataset=table:FILE.csv for vectors.')
    return {name: inferred[name] for name in names}

  @classmethod
  def of(cls, config: Any) -> Self:
    """Returns a configuration, converting stored values of its fields."""
    return config if isinstance(config, cls) else cls(
        **renamed.present_fields(config))

  def inferred_fields(self) -> dict[str, Any]:
    """Returns the fields that follow from the data."""
    return {f.name: getattr(self, f.name)
            for f in self.fields() if not f.is_flag}

  def function_differences(self, other: 'ModelConfig') -> dict[
      str, tuple[Any, Any]]:
    """Returns the differences that make it compute another function.

    By field name, the values of `self` and `other`. Fields such as the
    estimator, the seed of the initial weights and the number of levels do not
    change the function of equal weights.
    """
    if type(self) is not type(other):
      return {'model': (self.name(), other.name())}
    return {
        f.name: pair for f, pair in self.changes(other) if (
            f.changes_function(*pair) if callable(f.changes_function) else
            f.changes_function)}

  def to_json_object(self) -> dict[str, Any]:
    """Returns all fields as objects of JSON."""
    return {
        name: value.to_json_object() if hasattr(value, 'to_json_object') else
        value for name, value in self.values().items()}

  def to_json(self) -> str:
    """Returns the model type and all fields as JSON."""
    return json.dumps({'model': self.name(), **self.to_json_object()}, indent=2)


def model_from_json(text: str, file: str = 'model.json') -> ModelConfig:
  """Returns the model configuration that `ModelConfig.to_json` wrote.

  Args:
    text: the JSON.
    file: name of the file, for error messages.

  Raises:
    InvalidValueError: if the text is not a valid configuration.

  Example:
    >>> config = models.model_from_json('{"model": "vector", "event_size": 3}')
    >>> config.event_size
    3
  """
  try:
    values = json.loads(text)
    errors.check(isinstance(values, dict), problem='It is not a JSON object.')
    values = renamed.present_fields(values)
    config_class = registries.MODELS.get(values.pop('model', None))
    names = [f.name for f in config_class.fields()]
    for name in values:
      errors.check(name in names, 'field', name, f'one of {", ".join(names)}')
    return config_class(**values)
  except (ValueError, RecursionError) as error:
    raise errors.InvalidValueError(
        'file', file, 'a model of this version', errors.sentence(error)
    ) from None


def load(path: str | os.PathLike) -> ModelConfig:
  """Reads the configuration in a file; see `model_from_json`.

  Raises:
    OSError: if the file cannot be read.
  """
  with open(path, encoding='utf-8') as file:
    return model_from_json(file.read(), os.fspath(path))
