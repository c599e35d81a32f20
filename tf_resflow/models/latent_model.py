"""The parts of a flow as a Keras model, and what follows from them."""

from collections.abc import Sequence
import functools
import html
import math
import os
import shutil
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.columns import schema as schema_lib
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection as bijection_lib
from tf_resflow.models import lipschitz_report
from tf_resflow.numerics import random
from tf_resflow.specs import machine
from tf_resflow.specs import paths

# Largest dimension for which evaluations use exact log-determinants.
MAX_EXACT_SIZE = 64


class LatentModel(bijection_lib.Passes, keras.Model):
  """A Keras model whose outputs are latents: the parts of a `Flow`.

  The arguments are those of `Flow`, which defines its passes.
  """

  config: Any = None
  run: Any = None

  def __init__(
      self, bijection: layers.Bijection, event_shape: Sequence[int],
      num_levels: int | None = None,
      classifier: keras.layers.Layer | None = None,
      augmentation: layers.Augmentation | None = None,
      estimator: layers.EstimatorLike = None,
      base: layers.BaseDistribution | None = None, **kwargs):
    kwargs.setdefault('dtype', bijection.compute_dtype)
    super().__init__(**kwargs)
    self.event_shape = bijection_lib.event_shape_of(event_shape)
    self.event_size = math.prod(self.event_shape)
    self.num_levels: Any = num_levels
    self.estimator = numerics.Estimator.get(estimator)
    self._augmentation = augmentation
    self._base = base
    shape = self.augmentation.compute_output_shape((None, *self.event_shape))
    self.latent_size = math.prod(shape[1:])
    with base_layer.variables_named():
      base_layer.build_once(self.augmentation, (None, *self.event_shape))
      base_layer.build_once(bijection, shape)
      base_layer.build_once(self.base, (None, self.latent_size))
    self.bijection = bijection
    self.classifier: Any = classifier
    self.built = True

  def __repr__(self) -> str:
    return base_layer.settings_repr(self) if self.run is None else '\n'.join(
        f'{name}: {text}' for name, text in self.run.described(self).items())

  def _repr_html_(self) -> str:
    """Returns what notebooks show."""
    if self.run is None:
      return f'<pre>{html.escape(repr(self))}</pre>'
    rows = ''.join(
        f'<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>'
        for name, text in self.run.described(self).items())
    return f'<table>{rows}</table>'

  def save(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any
           ) -> None:
    """Saves it as a `.keras` file, or its run in a new folder.

    `keras.saving.load_model` loads the first, `tf_resflow.load` the second,
    which has the weights that the run has stored. The arguments are those of
    Keras.
    """
    if self.run is None or os.fspath(filepath).endswith('.keras'):
      super().save(filepath, *args, **kwargs)
      return
    paths.check_new_folder('filepath', filepath, 'It has files.')
    shutil.copytree(self.run.workdir, filepath, dirs_exist_ok=True)

  @functools.cached_property  # Not tracked: checkpoints hold the parts.
  def augmentation(self) -> layers.Augmentation:
    """The augmentation that maps data to events; by default the identity."""
    return self._augmentation or layers.IdentityAugmentation(
        dtype=self.compute_dtype)

  @functools.cached_property  # Likewise.
  def base(self) -> layers.BaseDistribution:
    """The distribution of the latents; by default standard normal."""
    return self._base or layers.StandardNormal(dtype=self.compute_dtype)

  @property
  def condition_spec(self) -> layers.ConditionSpec | None:
    """Type and shape of its conditions; None if unconditional."""
    return self.bijection.condition_spec

  @functools.cached_property
  def schema(self) -> schema_lib.Schema:
    """The columns of its vectors and conditions; without names of arrays."""
    spec = self.condition_spec
    schema = getattr(self.config, 'schema', None) or schema_lib.Schema.unnamed(
        self.event_size if len(self.event_shape) == 1 else 0)
    if spec is None or schema.conditions:
      return schema
    return schema.with_columns(
        [schema_lib.Column(role=schema_lib.CONDITION)] * math.prod(spec.shape))

  @property
  def input_dtype(self) -> str:
    """Dtype of data: that of the flow, or that of its schema."""
    return self.schema.dtype or self.compute_dtype

  def standardize(self, x: tf.Tensor) -> tf.Tensor:
    """Returns data in the units of errors; see `VectorFlow`."""
    return x

  def check_condition(self, condition: Any) -> None:
    """Raises `InvalidValueError` for a condition of an unconditional flow."""
    errors.check(
        condition is None or self.bijection.takes_condition, 'condition',
        problem=f'cannot be used with {self.name}, which is unconditional')

  @property
  def bijections(self) -> list[layers.Bijection]:
    """The bijection of events, and those by which the augmentation draws."""
    return [self.bijection, *self.augmentation.parts]

  @property
  def is_image(self) -> bool:
    """Whether data are images of integers, and losses bits/dim."""
    return self.num_levels is not None

  @property
  def has_classifier(self) -> bool:
    """Whether it is a hybrid model, which can classify."""
    return self.classifier is not None

  def logits(self, features: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns class logits `[B, num_classes]` of the `features` of a pass."""
    errors.check(
        self.has_classifier, self.name, problem='has no classifier',
        advice='Train a hybrid model (--hybrid).')
    return self.classifier(list(features))

  @property
  def is_initialized(self) -> bool:
    """Whether layers that initialise from a first batch have done so."""
    return all(part is None or part.is_initialized for part in (
        self.bijection, self.classifier, self._augmentation))

  @property
  def is_random(self) -> bool:
    """Whether log-determinants are estimated; if not, they are exact."""
    return any(part.is_random for part in self.bijections)

  def estimators(self) -> list[numerics.Estimator]:
    """Returns the default estimators of its blocks."""
    return [e for part in self.bijections for e in part.estimators()]

  @property
  def is_biased(self) -> bool:
    """Whether an estimator of its blocks is biased, as in i-ResNets."""
    return any(e.is_biased for e in self.estimators())

  def is_random_with(self, estimator: numerics.Estimator | str) -> bool:
    """Returns whether log-densities with `estimator` are random."""
    draws_noise = self.augmentation.is_random and not self._averages_points(
        estimator)
    return draws_noise or self.is_random and (
        estimator == 'training' or numerics.Estimator.get(estimator).is_random)

  def _averages_points(self, estimator):
    """Returns whether log-densities are those of the augmentation's points."""
    return bool(self.augmentation.num_points) and estimator not in (
        None, 'training')

  @property
  def evaluates_bounds(self) -> bool:
    """Whether evaluations of -log p are upper bounds, means over noise."""
    return self.augmentation.is_random and not (
        self.augmentation.num_points and self.latent_size <= MAX_EXACT_SIZE)

  def evaluation_estimator(
      self, *, dequantizes: bool = False) -> numerics.Estimator:
    """Returns the estimator for evaluation: exact up to 64 dimensions.

    For more dimensions, it is unbiased with finite variance (unlike the Poisson
    roulette of training), and takes a fraction of the time of
    'roulette:safe,exact=20', that of the paper's Section 5.1.

    Args:
      dequantizes: whether integer data are dequantised with noise; results are
        averaged over it anyway, so that a random estimator suffices.
    """
    is_estimated = self.latent_size > MAX_EXACT_SIZE or (
        dequantizes and self.is_image)
    if not (self.is_random and is_estimated):
      return numerics.Exact()
    return numerics.AdaptiveRoulette(0.02)  # Larger: faster, noisier.

  @property
  def certified_bijections(self) -> list[layers.Bijection]:
    """Bijections with a `g` whose Lipschitz bound can be certified."""
    return [b for part in self.bijections for b in part.leaves()
            if b.has_certificate]

  @property
  def constrained_layers(self) -> list[layers.LipschitzLayer]:
    """Linear layers with a constrained operator norm."""
    return [c for part in self.bijections for c in part.constrained_layers()]

  @property
  def num_parameters(self) -> int:
    """Number of trainable parameters."""
    return sum(math.prod(v.shape) for v in self.trainable_variables)

  @property
  def unit(self) -> str:
    """Unit of losses: 'bits_per_dim' for integer data, otherwise 'nats'."""
    return 'bits_per_dim' if self.is_image else 'nats'

  @property
  def unit_note(self) -> str:
    """Of how many bits or levels bits/dim are, '' if of 8: '(5 bits)'."""
    bits = math.log2(self.num_levels or 256)
    if bits == 8.0:
      return ''
    return f'({self.num_levels} levels)' if bits % 1.0 else f'({bits:g} bits)'

  def to_loss(self, log_prob: Any) -> Any:
    """Converts log-densities in nats, an array or a tensor, to `unit`."""
    if self.num_levels is None:
      return -log_prob
    return (
        math.log(self.num_levels) - log_prob / self.event_size) / math.log(2.0)

  def bits_per_dim_of(self, log_prob: Any) -> Any:
    """Converts log-densities to bits/dim; an error unless that is `unit`."""
    errors.check(
        self.is_image, 'bits_per_dim',
        problem='requires images of integers', advice='Use log_prob.')
    return self.to_loss(log_prob)

  def draw_latents(
      self, num_samples: int | tf.Tensor, *, seed: random.SeedLike = None,
      start: int = 0, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
    """Draws latents `[num_samples, D]` from the base distribution.

    Sample `i`, from `start` on, depends only on the seed and `i`, not on the
    batch size. The number is a Python int or an int32 scalar. The temperature
    is that of `base.draw`, of standard normals their standard deviation.
    """
    return self.base.draw(
        self._numbers(num_samples, start), random.as_seed(seed).values,
        temperature)

  def _numbers(self, num_samples, start=0):
    """Returns the numbers of samples, `[num_samples]`, or raises."""
    if not tf.is_tensor(num_samples):
      errors.check(
          num_samples >= 0, 'num_samples', num_samples, 'an integer >= 0')
      # Latents, a copy at another temperature, and the data.
      machine.check_memory(
          3 * num_samples * self.latent_size * tf.as_dtype(
              self.compute_dtype).size, 'num_samples', num_samples)
    return tf.range(start, start + num_samples)

  def save_norms(self) -> None:
    """Stores the norms of the current kernels, which only saves time."""
    # A graph is built by one thread.
    for _ in numerics.parallel.map_parallel(
        lambda layer: layer.save_norms(), self.constrained_layers,
        max_parallel=None if tf.executing_eagerly() else 1):
      pass

  def lipschitz_bounds(
      self, *, certify: bool = True) -> list[lipschitz_report.LipschitzReport]:
    """Returns bounds of the Lipschitz constants of the residual blocks.

    Certification takes minutes for large images.
    """
    leaves = self.bijection.leaves()
    return [lipschitz_report.LipschitzReport.of(
        block, block.name if block in leaves else
        f'{self.augmentation.name}/{block.name}', certify)
            for block in self.certified_bijections]

  def export(self, *unused_args: Any, **unused_kwargs: Any) -> None:
    """Raises `InvalidValueError`; `serving.export` exports flows."""
    raise errors.InvalidValueError(
        'export', problem=f'cannot be used with {self.name}: Keras would '
        'export latents alone', advice='Use tf_resflow.serving.export(flow, '
        'folder), or tf_resflow export.')
