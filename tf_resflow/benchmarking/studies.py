"""Studies of many measurements: growth of the cost, memory by mode."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow.benchmarking import operations
from tf_resflow.benchmarking import prediction
from tf_resflow.benchmarking import scaling
from tf_resflow.configuration import registries

_BASE_TERMS = 4


# From a run to what `tasks.measure_training` returns.
MeasureFn = Callable[[configuration.Config], Mapping[str, Any]]


class CostStudy(NamedTuple):
  """Training steps around a base, one setting varied at a time.

  Attributes:
    sweeps: dict from settings to lists of `(value, scaling.Measurement)`.
    cost_model: the `scaling.CostModel` fitted to all of them.
    fit_error_max: its largest relative error.
    exponents: dict from settings to slopes in double logarithms.
  """

  sweeps: dict
  cost_model: scaling.CostModel
  fit_error_max: float
  exponents: dict

  def report(self) -> dict[str, Any]:
    """Returns what a tool says of it, a dict for JSON."""
    return {
        'cost_model': dataclasses.asdict(self.cost_model),
        'exponents': self.exponents,
        'fit_error_max': self.fit_error_max,
        'train_step_s': {
            name: {value: m.seconds for value, m in points}
            for name, points in self.sweeps.items()}}


def with_num_terms(
    config: configuration.Config, num_terms: int) -> configuration.Config:
  """Returns a run all of whose steps have the same number of series terms."""
  return config.replace(estimator=f'fixed:{num_terms}')


def study_cost(
    config: configuration.Config, measure_fn: MeasureFn, *,
    batch_sizes: Sequence[int], hidden: Sequence[int], blocks: Sequence[int],
    image_sizes: Sequence[int], terms: Sequence[int]) -> CostStudy:
  """Measures how the time of a training step grows.

  Args:
    config: the base.
    measure_fn: measures a training step of a run with a fixed number of terms.
    batch_sizes: values of this setting, likewise the others.
    hidden: widths of the hidden layers.
    blocks: residual blocks per scale.
    image_sizes: heights and widths.
    terms: numbers of series terms; the other settings are varied at 4.
  """
  base = with_num_terms(config, _BASE_TERMS)

  def vary(name, values, change_fn=lambda value: value):
    return [(v, base.replace(**{name: change_fn(v)})) for v in values]

  plan = {
      'batch': vary('batch_size', batch_sizes),
      'hidden width': vary('hidden_channels', hidden),
      'blocks per scale': vary(
          'num_blocks', blocks, lambda v: (v,) * len(config.model.num_blocks)),
      'image size': vary('resize', image_sizes),
      'terms n': [(n, with_num_terms(config, n)) for n in terms],
  }
  known, sweeps = {}, {}
  for name, points in plan.items():
    sweeps[name] = []
    for value, varied in points:
      if varied not in known:
        values = measure_fn(varied)
        known[varied] = scaling.Measurement(
            values['train_step_s'], operations.StepWork(**values['work']))
      sweeps[name].append((value, known[varied]))
  cost_model = scaling.fit(list(known.values()))
  return CostStudy(
      sweeps, cost_model,
      max(abs(cost_model.seconds(m.work) / m.seconds - 1.0)
          for m in known.values()),
      {name: scaling.exponent(
          [v for v, _ in points], [m.seconds for _, m in points])
       for name, points in sweeps.items()})


def study_memory(
    config: configuration.Config, measure_fn: MeasureFn, terms: Sequence[int],
) -> dict[str, dict[int, float]]:
  """Measures the peak memory of a training step in every memory mode.

  Args:
    config: of the run.
    measure_fn: measures a training step of a run with a fixed number of terms.
    terms: numbers of series terms.

  Returns:
    GB, by modes and numbers of terms.
  """
  return {
      mode: {
          n: measure_fn(with_num_terms(config.replace(memory=mode), n))[
              'peak_memory_gb']
          for n in terms}
      for mode in registries.MEMORY_MODES.names()}


def predict_training(
    config: configuration.Config, device_counts: Sequence[int],
) -> tuple[operations.StepWork, list[dict[str, Any]]]:
  """Predicts the time of a run from operation counts.

  Args:
    config: of the run.
    device_counts: numbers of devices.

  Returns:
    The work of a step at the mean number of terms, and a list of dicts with
    `accelerator`, `num_devices`, `train_step_s` and `days`.

  Raises:
    InvalidValueError: if that mean depends on the weights.
  """
  model = config.model.build()
  estimator = operations.estimator_of(config)
  num_terms = estimator and estimator.mean_num_terms
  errors.check(
      num_terms is not None, 'estimator', estimator and estimator.spec(),
      'one whose mean number of terms is known, such as a roulette')
  work = operations.step_work(
      model, config.optimizer.batch_size * config.optimizer.accumulation_steps,
      num_terms)
  num_parameters = sum(
      v.value.shape.num_elements() for v in model.trainable_variables)
  rows = []
  for accelerator in prediction.ACCELERATORS:
    for num_devices in device_counts:
      seconds = prediction.step_seconds(
          work, num_parameters, accelerator, num_devices)
      rows.append({
          'accelerator': accelerator.name, 'num_devices': num_devices,
          'train_step_s': seconds,
          'days': seconds * config.optimizer.num_steps / 86400})
  return work, rows
