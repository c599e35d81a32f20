"""The configuration of a run: a tree of frozen dataclasses."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from tf_resflow import errors
from tf_resflow.configuration import fields
from tf_resflow.configuration import model_config
from tf_resflow.configuration import registries
from tf_resflow.configuration import sections
from tf_resflow.configuration import values as values_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """Everything that determines a run; `make_config` makes one of flat values.

  Names of fields are unique over the tree, and those of the flags of the tools.

  Example:
    >>> config = make_config(dataset='digits', num_blocks=(2, 2), num_steps=5)
    >>> config.model.image_shape, config.optimizer.num_steps
    ((8, 8, 1), 5)
    >>> config.replace(num_steps=10).differences(config)
    {}
  """

  data: sections.DataConfig
  model: model_config.ModelConfig
  objective: sections.ObjectiveConfig
  optimizer: sections.OptimizerConfig
  run: sections.RunConfig

  def __post_init__(self):
    self.run.require(
        self.run.evaluate_every == 0 or self.data.num_validation > 0,
        'evaluate_every', '0 where num_validation is 0',
        'Validation takes examples of its own; set num_validation.')
    facts = _facts(self.data, self.objective, self.run)
    for name, right in self.model.derived(facts).items():
      self.model.require(
          getattr(self.model, name) == right, name, values_lib.text_of(right),
          'It follows from other values; make_config fills it in.')
    self.objective.require(
        not self.objective.hybrid or hasattr(self.model, 'num_classes'),
        'hybrid', f'false with model={self.model.name()}',
        'That model has no classifier.')

  def values(self) -> dict[str, Any]:
    """Returns all values that are flags, by names of fields, and `model`."""
    return {f.name: getattr(section, f.name) for section in self.sections()
            for f in section.flag_fields()}

  def sections(self) -> list[fields.Section]:
    """Returns the kind of the model, and the parts in the order of fields."""
    return [sections.KindConfig(model=self.model.name()), *(
        getattr(self, f.name) for f in dataclasses.fields(self))]

  def replace(self, **values: Any) -> 'Config':
    """Returns the configuration with other values, see `make_config`."""
    return make_config(**{**self.values(), **values})

  def differences(self, other: 'Config') -> dict[str, tuple[Any, Any]]:
    """Returns what forbids to continue the run of `other`.

    Returns:
      From names of flags to the values here and there.
    """
    return {
        name: pair
        for mine, theirs in zip(self.sections(), other.sections(), strict=True)
        if type(mine) is type(theirs)
        for name, pair in mine.differences(theirs).items()}


SECTIONS = {
    'data': sections.DataConfig, 'objective': sections.ObjectiveConfig,
    'optimizer': sections.OptimizerConfig, 'run': sections.RunConfig}


def make_config(
    model: str = sections.KindConfig.model, **values: Any) -> Config:
  """Returns a configuration; what is not given has its default.

  What the model has to know of the data is filled in.

  Args:
    model: the name of a type of model.
    **values: fields of the data, the model, the objective, the optimizer and
      the run.

  Raises:
    InvalidValueError: if a value breaks a rule, or is none of these fields.
  """
  model_class = registries.MODELS.get(model)
  given = {key: _take(section, values) for key, section in {
      **SECTIONS, 'model': model_class}.items()}
  for name, value in values.items():
    others = [
        other for other in registries.MODELS.names() if name in {
            f.name for f in registries.MODELS.get(other).flag_fields()}]
    raise errors.InvalidValueError(
        name, values_lib.text_of(value), f'no such value with model={model}',
        f'It goes with model={" or ".join(others)}.' if others else '')
  made = {key: section(**given[key]) for key, section in SECTIONS.items()}
  derived = model_class.derived(
      _facts(made['data'], made['objective'], made['run']))
  return Config(model=model_class(**given['model'], **derived), **made)


def _take(section: type[fields.Section], values: dict[str, Any]) -> dict[
    str, Any]:
  """Takes out the values of a section's flags."""
  return {f.name: values.pop(f.name) for f in section.flag_fields()
          if f.name in values}


def _facts(data: sections.DataConfig, objective: sections.ObjectiveConfig,
           run: sections.RunConfig) -> Mapping[str, Any]:
  """Returns the values of fields of the model that are no flags."""
  facts = {'num_classes': 0, **data.facts(), 'seed': run.seed}
  objective.require(
      not objective.hybrid or facts['num_classes'] > 0, 'hybrid',
      f'false, since {data.dataset} has no labels')
  return facts if objective.hybrid else facts | {'num_classes': 0}
