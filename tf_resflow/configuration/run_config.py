"""The configuration of a run: a tree of frozen dataclasses.

The sections are in `sections`, that of the data in `datasets.data_config`; each
model type has its own subclass of `ModelConfig`.
"""

from collections.abc import Iterable, Mapping
import dataclasses
import os
from typing import Any

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.configuration import sections as sections_lib
from tf_resflow.datasets import data_config
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.specs import renamed
from tf_resflow.specs import spec as spec_lib

# Below this number of training examples, validations are frequent.
_FEW_EXAMPLES = 1000
# Initial noise over the smoothing of a Gaussian.
_NOISE_OF_SMOOTHING = 2.0
# Default number of updates without a lower validation loss.
_PATIENCE = 300
# Least epochs of long tables, unless these take more than 6,000 steps.
_EPOCHS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """Complete configuration of a run; `make_config` builds it from flat values.

  Field names are unique across all sections, and are the names of the flags.

  Example:
    >>> config = make_config(dataset='digits', num_blocks=(2, 2), num_steps=5)
    >>> config.model.image_shape, config.optimizer.num_steps
    ((8, 8, 1), 5)
    >>> config.replace(num_steps=10).differences(config)
    {}

  Attributes:
    data, objective, optimizer, run: sections of the class in their annotation.
    model: a `ModelConfig`, each type of which has fields of its own.
    info: the opened data set; None for a stored run, see `opened`.
  """

  data: data_config.DataConfig
  model: Any
  objective: sections_lib.ObjectiveConfig
  optimizer: sections_lib.OptimizerConfig
  run: sections_lib.RunConfig
  info: 'datasets.DatasetInfo | None' = dataclasses.field(
      default=None, repr=False, compare=False)

  def __post_init__(self):
    where = f'cannot be used with model={self.model.name()}'
    self.run.require(
        self.run.evaluate_every == 0 or self.data.num_validation > 1,
        'evaluate_every', problem='requires num_validation, such as 200')
    self.objective.require(
        not self.objective.hybrid or hasattr(self.model, 'num_classes'),
        'hybrid', problem=where, advice='It has no classifier.')
    self.data.require(
        not self.data.condition_on or
        getattr(self.model, 'is_conditional', False), 'condition_on',
        problem=where, advice='It takes no condition.')
    self.optimizer.require(
        self.optimizer.input_noise in (0, fields.AUTO) or
        self.model.takes_input_noise,
        'input_noise', problem=where, advice='It applies to vectors.')
    self.objective.require(
        self.objective.order_gradient == 'likelihood' or
        getattr(self.model, 'norms', ()) == ('learned',), 'order_gradient',
        problem='requires norms=learned')

  def open_data(self) -> 'datasets.DatasetInfo':
    """Returns the metadata of the data set; opens it unless `info` has them.

    Raises:
      InvalidValueError: if the data are missing, have changed since the run
        began, or do not suit the model.
    """
    info = self.info or self.data.open()
    inferred = _inferred_fields(self.data, self.objective, self.run, info)
    self.check_data(info)
    for name, right in self.model.fields_from_data(inferred).items():
      # What was fitted when the run began is not fitted again.
      self.model.require(
          name == 'schema' or getattr(self.model, name) == right, name,
          spec_lib.text_of(right),
          f'It follows from {self.data.dataset}; use make_config.')
    return info

  def check_data(self, info: 'datasets.DatasetInfo') -> None:
    """Raises `InvalidValueError` if data are not those that a run has."""
    self.data.require(
        self.model.data_fingerprint == info.fingerprint, 'dataset',
        problem='has changed since the run began', advice='Restore the data, '
        'or start a new run in another workdir.')

  def opened(self) -> 'Config':
    """Returns the configuration with the opened data set, see `open_data`."""
    return dataclasses.replace(self, info=self.open_data())

  def open_split(
      self, part: str, data_dir: str | os.PathLike | None = None,
  ) -> 'datasets.Split':
    """Opens the 'train', 'validation' or 'test' part of the data set.

    It is in `data_dir`, by default that of the run.

    Raises:
      DatasetNotFoundError: if the data are not prepared and cannot be.
      InvalidValueError: see `open_data`, and if there is no such part.
    """
    info = self.open_data()
    if schema := getattr(self.model, 'schema', None):
      info = dataclasses.replace(info, schema=schema)
    return info.open(
        part, data_dir or self.data.data_dir, self.data.num_validation)

  def values(self) -> dict[str, Any]:
    """Returns the values of all flags, by field name, including `model`."""
    return {f.name: getattr(section, f.name) for section in self.sections()
            for f in section.flag_fields()}

  def sections(self) -> list[fields.Section]:
    """Returns the model type, then the sections in the order of fields."""
    return [sections_lib.ModelTypeConfig(model=self.model.name()), self.data,
            self.model, self.objective, self.optimizer, self.run]

  def replace(self, **values: Any) -> 'Config':
    """Returns the configuration with other values, see `make_config`.

    The data set is opened again only if its fields change, and that of a stored
    run only if fields of the model that follow from it do.
    """
    old = self.values()
    changed = {name for name, value in values.items() if old.get(name) != (
        tuple(value) if isinstance(value, list) else value)}
    data = {f.name: f.resumable for f in self.data.fields()}
    follows = changed & {'model', 'hybrid', *(
        name for name, is_resumable in data.items() if not is_resumable)}
    values = old | values
    return make_config(
        info=None if changed & data.keys() - {'data_dir'} else self.info,
        inferred=None if follows else {
            **self.model.inferred_fields(), 'seed': values['seed']}, **values)

  def continued(self, **values: Any) -> 'Config | None':
    """Returns that of this stored run, continued with the values of flags.

    What was chosen when it began takes the place of `auto`, and its data are
    not opened. None for another model type or data set, which a new run has.
    """
    data = data_config.DataConfig(**_taken(data_config.DataConfig, values))
    if (values['model'], data.dataset) != (
        self.model.name(), self.data.dataset):
      return None
    values = {f.name: f.default for f in self._flag_fields()} | (
        self.with_choices(values | data.values()))
    return self.replace(**{f.name: values[f.name] for f in self._flag_fields()})

  def with_choices(self, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values of flags, with what this run chose in place of `auto`."""
    chosen = self.values()
    return {**values, **{
        f.name: chosen[f.name] for f in self._flag_fields()
        if values.get(f.name, f.default) in f.placeholders}}

  def _flag_fields(self):
    return [f for section in self.sections() for f in section.flag_fields()]

  def with_data_fields_of(self, run: 'Config') -> 'Config':
    """Returns the configuration with which a stored run goes on.

    Fields of the model that follow from the data are those that the run began
    with: they are not fitted alike on all processors and by all versions.
    """
    if type(self.model) is not type(run.model):
      return self  # It does not go on.
    return dataclasses.replace(self, model=dataclasses.replace(
        self.model, **run.model.inferred_fields()))

  def differences(self, other: 'Config') -> dict[str, tuple[Any, Any]]:
    """Returns the changes that prevent continuing a run of `other`, by flag."""
    return {
        name: pair
        for mine, theirs in zip(self.sections(), other.sections(), strict=True)
        if type(mine) is type(theirs)
        for name, pair in mine.differences(theirs).items()}


SECTIONS: dict[str, Any] = {
    'data': data_config.DataConfig, 'objective': sections_lib.ObjectiveConfig,
    'optimizer': sections_lib.OptimizerConfig, 'run': sections_lib.RunConfig}


def make_config(
    model: str | None = None, *, info: Any = None,
    inferred: Mapping[str, Any] | None = None, **values: Any) -> Config:
  """Returns a configuration; values that are not given have their defaults.

  The data set is opened, and fields of the model that follow from it are filled
  in.

  Args:
    model: name of a model type; by default that of the data.
    info: the data set of that name, see `DataConfig.open`, if it is open.
    inferred: fields of the model that follow from the data; the data of a run
      that has them are not opened here.
    **values: fields of the data, the model, the objective, the optimizer and
      the run. `dataset` may be a data set itself, such as `datasets.table(...)`
      and `datasets.array(...)` return.

  Raises:
    InvalidValueError: if a value is invalid, or a field unknown.
  """
  dataset = values.get('dataset')
  if not isinstance(dataset, str | None):
    info, values['dataset'] = dataset, dataset.name
  data, objective, optimizer, run = (
      section(**_taken(section, values)) for section in SECTIONS.values())
  if info and info is dataset:
    data.check_options()
  if info or inferred is None:
    info = data.open(info)
  model = model or info.model
  model_class = registries.MODELS.get(model)
  given = _taken(model_class, values)
  for name in values:
    raise _unknown_field(name, model)
  data = data.filled(
      num_validation=info.default_num_validation if info else 0)
  if inferred is None:
    with errors.collected_warnings() as warnings:
      info = info.with_validation(data.num_validation)
    info = dataclasses.replace(info, warnings=(*info.warnings, *warnings))
    inferred = _inferred_fields(data, objective, run, info)
  optimizer = optimizer.filled(
      input_noise=_NOISE_OF_SMOOTHING * getattr(info, 'smoothing', 0.0)
      if model_class.takes_input_noise else 0.0)
  optimizer, run = _filled(data, optimizer, run, info)
  return Config(
      data=data, objective=objective, optimizer=optimizer, run=run, info=info,
      model=model_class(**given, **model_class.fields_from_data(inferred)))


def check_names(names: Iterable[str]) -> None:
  """Raises `InvalidValueError` for a name that no section nor model has."""
  known = {f.name for section in (*SECTIONS.values(), *(
      registries.MODELS.get(name) for name in registries.MODELS.names()))
           for f in section.flag_fields()}
  for name in sorted({*names} - known):
    raise errors.InvalidValueError(
        name, problem='is not a setting', advice=errors.did_you_mean(
            renamed.FLAGS.get(name, name), sorted(known)))


def _unknown_field(name: str, model: str) -> errors.InvalidValueError:
  """Returns the error of a value that no section has."""
  fields_ = {other: {f.name for f in registries.MODELS.get(other).flag_fields()}
             for other in registries.MODELS.names()}
  known = [*fields_[model], *(
      f.name for section in SECTIONS.values() for f in section.flag_fields())]
  others = [f'model={other}' for other in fields_ if name in fields_[other]]
  return errors.InvalidValueError(
      name, problem=f'is not a field of model={model}',
      advice=f'It belongs to {" and ".join(others)}.' if others else
      errors.did_you_mean(renamed.FLAGS.get(name, name), known))


def _filled(data, optimizer, run, info):
  """Returns sections with what is chosen by the data in place of `auto`.

  Those of stored runs have been filled, but for those of former versions, which
  did not validate by default.
  """
  num_train = info.num_train if info and info.is_validated else None
  is_small = (num_train or 0) < _FEW_EXAMPLES
  optimizer = optimizer.filled(
      num_steps=1000 if num_train is None else 500 if is_small else min(max(
          2000, _EPOCHS * num_train // optimizer.batch_size), 6000))
  if num_train is None or data.num_validation <= 1:
    return optimizer, run.filled(
        evaluate_every=0, keep_best=False, patience=0, refit=False)
  run = run.filled(evaluate_every=10 if is_small else 50)
  run = run.filled(keep_best=run.evaluate_every != 0)
  return optimizer, run.filled(
      patience=_PATIENCE if run.keep_best else 0,
      refit=run.keep_best and is_small and info.num_test != 0)


def _taken(section: type[fields.Section], values: dict[str, Any]
           ) -> dict[str, Any]:
  """Removes the values of a section from `values` and returns them."""
  return {f.name: values.pop(f.name) for f in section.flag_fields()
          if f.name in values}


def _inferred_fields(data, objective, run, info):
  """Returns the values of the fields of the model that are not flags."""
  inferred = {
      'dataset': data.dataset, **info.inferred_fields(), 'seed': run.seed,
      'data_fingerprint': info.fingerprint}
  objective.require(
      not objective.hybrid or inferred['num_classes'] > 0, 'hybrid',
      problem=f'requires labels, which {data.dataset} does not have')
  return inferred if objective.hybrid else inferred | {'num_classes': 0}
