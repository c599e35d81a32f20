"""The configuration of a run: a tree of frozen dataclasses.

The data, the objective, the optimizer and the run are here; every type of model
has a `ModelConfig` of its own.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import difflib
import os
from typing import Any, Literal

from tf_resflow import errors
from tf_resflow.models import model_config
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.specs import spec as spec_lib

# Fields of the data that are for images alone.
_OF_IMAGES = ('flip', 'crop_padding', 'image_size', 'num_bits', 'resize')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelTypeConfig(fields.Section):
  """The type of the model."""

  model: str | None = fields.field(
      None, help='Type of the model, by default that of the data: image for '
      'images, vector for vectors.', choices=registries.MODELS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(fields.Section):
  """The data set, and what is done to its images before the model."""

  dataset: str = fields.field(
      'digits', help='Data set: a name, or a folder of PNG or JPEG images, an '
      'array x (uint8 images or float vectors), or a table of numeric columns '
      'of your own.', choices=registries.DATASETS)
  data_dir: str | None = fields.field(
      None, help='Folder of prepared data sets, by default that of TFDS.',
      resumable=True)
  num_bits: int = fields.field(
      8, help='Reduce 8-bit images to this many bits.', minimum=1, maximum=8)
  image_size: int | None = fields.field(
      None, help='Checked against the size of the images.', minimum=1)
  resize: int | None = fields.field(
      None, help='Resize the images to this height and width.', minimum=1)
  num_validation: int = fields.field(
      0, help='Training examples set aside for validation.', minimum=0)
  flip: bool = fields.field(
      False, help='Flip training images left to right at random.')
  crop_padding: int = fields.field(
      0, help='Pixels that are put on every side of a training image, of which '
      'a random part of its former size is taken.', minimum=0)
  crop_mode: str = fields.field(
      'reflect', help='What these pixels hold: reflect mirrors the image at '
      'those of its edge, constant takes zeros.',
      choices=registries.CROP_MODES)
  condition: tuple[str, ...] = fields.field(
      (), help='Learn p(x|c): label, for data with labels; names of columns of '
      'a table, which are no part of x then; condition, the array of that name '
      'of an .npz file.')

  def check(self) -> None:
    # A data set of the reader's is opened only where that is needed: a run
    # can be sampled from when its data are gone.
    object.__setattr__(self, 'dataset', _whole_path(self.dataset))
    for field in self.fields():
      value = getattr(self, field.name)
      if field.name in _OF_IMAGES and value != field.default:
        self.info().require_images(field.name, value, field.default)
    if self.crop_padding:
      check_crop_padding(self.crop_padding, self.info().event_shape)
    if self.image_size is not None:
      height, width = self.info().event_shape[:2]
      self.require(
          self.image_size == height == width, 'image_size', 'the size of the '
          f'images of {self.dataset}, {height} x {width}',
          'Leave it out or give that size.')

  def info(self) -> Any:
    """Returns what is known of the data, a `datasets.DatasetInfo`."""
    info = registries.DATASETS.get(self.dataset, 'dataset').changed(
        num_bits=self.num_bits, resize=self.resize)
    return info.with_condition(self.condition) if self.condition else info

  def inferred_fields(self) -> dict[str, Any]:
    """Returns what a model has to know of the data, by names of its fields."""
    info = self.info()
    return {**info.inferred_fields(), **info.inferred_condition_fields()}


def _whole_path(dataset: str) -> str:
  """Returns `table:FILE` with the whole path: a run is opened from anywhere."""
  _, path = registries.DATASETS.split(dataset)
  return dataset.removesuffix(path) + os.path.abspath(
      os.path.expanduser(path)) if path else dataset


def check_crop_padding(padding: int, image_shape: Sequence[int]) -> None:
  """Checks that every crop holds pixels of its image.

  So there are as many pixels to mirror as the padding has, too.

  Args:
    padding: pixels that are added on every side.
    image_shape: `(height, width, channels)`.

  Raises:
    InvalidValueError: if there are too many.
  """
  errors.check(
      0 <= padding < min(image_shape[:2]), 'crop_padding', padding,
      f'a whole number in [0, {min(image_shape[:2]) - 1}], less than the sides '
      f'of the images, {image_shape[0]} x {image_shape[1]}')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveConfig(fields.Section):
  """What is minimised."""

  objective: str | Literal['auto'] = fields.field(
      fields.AUTO, help='What is minimised, such as hybrid:0.5; auto is '
      'bits_per_dim for images, nats for vectors; with --hybrid hybrid, or '
      'cross_entropy where nll_weight is 0.', choices=registries.OBJECTIVES)
  hybrid: bool = fields.field(
      False, help='Learn the labels as well, with a classifier on the flow.')
  nll_weight: float | Literal['1/D'] = fields.field(
      1.0, help='lambda of the hybrid loss lambda * nats(x) + cross entropy: '
      '1/D divides by the number of dimensions of x, 0 trains the classifier '
      'alone.', minimum=0)
  annealing_steps: int = fields.field(
      0, help='Updates over which the weight of the log-determinant in the '
      'loss rises from 0 to 1; metrics have the whole. 0 for the whole from '
      'the first.', minimum=0)
  order_gradient: str = fields.field(
      'likelihood', help='By what learned norms are trained: likelihood, the '
      'gradient of the loss; norm, as in the released code, that of 0.01 times '
      'the mean norm of the layers.', choices=('likelihood', 'norm'))

  def check(self) -> None:
    if self.objective != fields.AUTO:
      self.require_defaults(
          ('nll_weight',), f'with objective={self.objective}',
          'Write objective=hybrid:WEIGHT.')
    self.require(
        not (self.annealing_steps and self.hybrid and self.nll_weight == 0),
        'annealing_steps', '0 with nll_weight=0',
        'Classification alone takes no log-determinant.')

  def nll_weight_of(self, event_size: int) -> float:
    """Returns `nll_weight` as a number, of events of `D = event_size`."""
    return 1.0 / event_size if self.nll_weight == '1/D' else self.nll_weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig(fields.Section):
  """Batches and updates."""

  num_steps: int = fields.field(
      1000, help='Optimizer updates in all; raise it to continue a run with '
      '--schedule=constant. The rates of cosine depend on it.',
      minimum=1, resumable=lambda config, _: (
          config.schedule in registries.ENDLESS_SCHEDULES))
  batch_size: int = fields.field(
      64, help='Global batch, shared by the replicas.', minimum=1)
  accumulation_steps: int = fields.field(
      1, help='Batches whose gradients make one update.', minimum=1)
  optimizer: str = fields.field(
      'adam', help='What makes updates of gradients: adam; sgd, with momentum; '
      'rmsprop; adamax, Adam by the largest gradient of late.',
      choices=registries.OPTIMIZERS)
  learning_rate: float = fields.field(
      1e-3, help='Learning rate after the warm-up.', above=0)
  warmup_steps: int = fields.field(
      1000, help='Updates of linear warm-up.', minimum=0)
  schedule: str = fields.field(
      'constant', help='The learning rate after the warm-up; cosine falls to '
      'zero at the end of the run.', choices=registries.SCHEDULES)
  momentum: float = fields.field(
      0.9, help='Momentum of sgd; that of adam and adamax is 0.9, rmsprop has '
      'none.', minimum=0, below=1)
  beta_2: float = fields.field(
      0.99, help='Decay of what adam, rmsprop and adamax know of the size of '
      'gradients.', minimum=0, below=1)
  epsilon: float = fields.field(
      1e-8, help='Added by adam, rmsprop and adamax to that size.', above=0)
  weight_decay: float = fields.field(
      0.0, help='Share of the kernels, times the learning rate, that every '
      'update takes away: decoupled, with every optimizer.', minimum=0)
  clip_norm: float = fields.field(
      1.0, help='Global norm at which gradients are clipped.', above=0)
  ema_decay: float = fields.field(
      0.999, help='Decay of the weight average that evaluation uses.',
      minimum=0, below=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(fields.Section):
  """Where and how often, and the seed."""

  seed: int = fields.field(
      0, help='Seed of weights, data order, noise and estimators.', minimum=0,
      maximum=2**31 - 1)
  imports: tuple[str, ...] = fields.field(
      (), help='Modules to import first, which register your own types: '
      'my_package.my_module, several separated by commas.',
      flag='import', resumable=True)
  strategy: str = fields.field(
      'auto', help='Devices: single takes one, mirrored all, auto all where '
      'there are several GPUs.', choices=registries.STRATEGIES, resumable=True)
  jit_compile: bool = fields.field(
      False, help='Compile the gradient computation with XLA.', resumable=True)
  checkpoint_every: int = fields.field(
      1000, help='Updates between checkpoints.', minimum=1, resumable=True)
  checkpoints_to_keep: int = fields.field(
      3, help='Number of latest checkpoints to keep.', minimum=1,
      resumable=True)
  log_every: int = fields.field(
      50, help='Updates between rows of metrics.csv.', minimum=1,
      resumable=True)
  sample_every: int = fields.field(
      1000, help='Updates between sample grids; 0 for none.', minimum=0,
      resumable=True)
  evaluate_every: int = fields.field(
      0, help='Updates between validations (unbiased bits/dim, and the bias of '
      'a biased estimator); 0 for none.', minimum=0, resumable=True)
  keep_best: bool = fields.field(
      False, help='Keep the checkpoint of the lowest validation loss as well, '
      'in best/ of the workdir; the tools take it with --checkpoint=best.',
      resumable=True)

  def check(self) -> None:
    self.check_suits(
        self.evaluate_every > 0 or not self.keep_best, 'keep_best',
        'requires evaluate_every and num_validation',
        'Validations say which checkpoint is the best.')


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

  data: DataConfig
  model: model_config.ModelConfig
  objective: ObjectiveConfig
  optimizer: OptimizerConfig
  run: RunConfig

  def __post_init__(self):
    where = f'cannot be used with model={self.model.name()}'
    self.run.check_suits(
        self.run.evaluate_every == 0 or self.data.num_validation > 1,
        'evaluate_every', 'requires num_validation of at least 2',
        'Validation takes examples of its own.')
    self.objective.check_suits(
        not self.objective.hybrid or hasattr(self.model, 'num_classes'),
        'hybrid', where, 'That model has no classifier.')
    self.data.check_suits(
        not self.data.condition or
        getattr(self.model, 'is_conditional', False), 'condition', where,
        'That model takes no condition.')
    self.objective.check_suits(
        self.objective.order_gradient == 'likelihood' or
        getattr(self.model, 'norms', ()) == ('learned',), 'order_gradient',
        'requires norms=learned', 'Otherwise there are no orders to learn.')

  def check_data(self) -> None:
    """Raises `InvalidValueError` if the model is not one of the data."""
    inferred = _inferred_fields(self.data, self.objective, self.run)
    self.data.require(
        self.model.data_fingerprint == inferred['data_fingerprint'], 'dataset',
        'the data of the run', 'They have changed since it began: put them '
        'back, or take another workdir.')
    for name, right in self.model.fields_from_data(inferred).items():
      self.model.require(
          getattr(self.model, name) == right, name, spec_lib.text_of(right),
          f'It follows from {self.data.dataset}; make_config fills it in.')

  def values(self) -> dict[str, Any]:
    """Returns all values that are flags, by names of fields, and `model`."""
    return {f.name: getattr(section, f.name) for section in self.sections()
            for f in section.flag_fields()}

  def sections(self) -> list[fields.Section]:
    """Returns the type of the model, and the parts in the order of fields."""
    return [ModelTypeConfig(model=self.model.name()), *(
        getattr(self, f.name) for f in dataclasses.fields(self))]

  def replace(self, **values: Any) -> 'Config':
    """Returns the configuration with other values, see `make_config`.

    The data are asked only where what the model has to know may change.
    """
    asked = {f.name for f in DataConfig.fields()} | {'model', 'hybrid', 'seed'}
    inferred = None if asked & values.keys() else self.model.inferred_fields()
    return make_config(inferred=inferred, **{**self.values(), **values})

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
    'data': DataConfig, 'objective': ObjectiveConfig,
    'optimizer': OptimizerConfig, 'run': RunConfig}


def make_config(
    model: str | None = None, inferred: Mapping[str, Any] | None = None,
    **values: Any) -> Config:
  """Returns a configuration; what is not given has its default.

  What the model has to know of the data is filled in.

  Args:
    model: the name of a type of model, by default that of the data.
    inferred: what the model has to know, by names of its fields; the data are
      asked by default.
    **values: fields of the data, the model, the objective, the optimizer and
      the run.

  Raises:
    InvalidValueError: if a value breaks a rule, or is none of these fields.
  """
  made = {key: section(**_taken(section, values))
          for key, section in SECTIONS.items()}
  model = model or made['data'].info().model
  model_class = registries.MODELS.get(model)
  given = _taken(model_class, values)
  for name in values:
    known = [f.name for section in (*SECTIONS.values(), model_class)
             for f in section.flag_fields()]
    others = [
        f'model={other}' for other in registries.MODELS.names() if name in {
            f.name for f in registries.MODELS.get(other).flag_fields()}]
    guesses = difflib.get_close_matches(name, known, n=1)
    raise errors.InvalidValueError(
        name, problem=f'is not a field of model={model}',
        advice=f'It is one of {" and ".join(others)}.' if others else
        ' '.join(f'Did you mean {guess}?' for guess in guesses))
  if inferred is None:
    inferred = _inferred_fields(made['data'], made['objective'], made['run'])
  return Config(
      model=model_class(
          **given, **model_class.fields_from_data(inferred)), **made)


def _taken(section: type[fields.Section], values: dict[str, Any]
           ) -> dict[str, Any]:
  """Takes the values of a section out of others."""
  return {f.name: values.pop(f.name) for f in section.flag_fields()
          if f.name in values}


def _inferred_fields(data: DataConfig, objective: ObjectiveConfig,
                     run: RunConfig) -> Mapping[str, Any]:
  """Returns the values of fields of the model that are no flags."""
  inferred = {
      'num_classes': 0, 'dataset': data.dataset, **data.inferred_fields(),
      'seed': run.seed, 'data_fingerprint': data.info().fingerprint}
  objective.require(
      not objective.hybrid or inferred['num_classes'] > 0, 'hybrid',
      f'false, since {data.dataset} has no labels')
  return inferred if objective.hybrid else inferred | {'num_classes': 0}
