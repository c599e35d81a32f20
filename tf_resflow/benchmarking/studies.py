"""Studies of many measurements: growth of the cost, memory by mode."""

from typing import NamedTuple

from tf_resflow import numerics
from tf_resflow.benchmarking import operations
from tf_resflow.benchmarking import prediction
from tf_resflow.benchmarking import scaling

_BASE_TERMS = 4


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


def study_cost(config, measure_fn, *, batch_sizes, hidden, blocks, image_sizes,
               terms):
  """Measures how the time of a training step grows.

  Args:
    config: a `configuration.Config`, the base.
    measure_fn: `(config, num_terms)` to what `tasks.measure_training` returns.
    batch_sizes: list of integers, likewise the others: values of every setting.
    hidden: widths of the hidden layers.
    blocks: residual blocks per scale.
    image_sizes: heights and widths.
    terms: numbers of series terms; the other settings are varied at 4.

  Returns:
    A `CostStudy`.
  """

  def vary(name, values, change_fn=lambda value: value):
    return [(v, _BASE_TERMS, {name: change_fn(v)}) for v in values]

  plan = {
      'batch': vary('batch_size', batch_sizes),
      'hidden width': vary('hidden_channels', hidden),
      'blocks per scale': vary(
          'num_blocks', blocks, lambda v: (v,) * len(config.model.num_blocks)),
      'image size': vary('resize', image_sizes),
      'terms n': [(n, n, {}) for n in terms],
  }
  known, sweeps = {}, {}
  for name, points in plan.items():
    sweeps[name] = []
    for value, num_terms, changes in points:
      key = config.replace(**changes), num_terms
      if key not in known:
        values = measure_fn(*key)
        known[key] = scaling.Measurement(
            values['train_step_s'], operations.StepWork(**values['work']))
      sweeps[name].append((value, known[key]))
  cost_model = scaling.fit(list(known.values()))
  return CostStudy(
      sweeps, cost_model,
      max(abs(cost_model.seconds(m.work) / m.seconds - 1.0)
          for m in known.values()),
      {name: scaling.exponent(
          [v for v, _ in points], [m.seconds for _, m in points])
       for name, points in sweeps.items()})


def study_memory(config, measure_fn, terms):
  """Measures the peak memory of a training step in every memory mode.

  Args:
    config: a `configuration.Config`.
    measure_fn: `(config, num_terms)` to what `tasks.measure_training` returns.
    terms: numbers of series terms.

  Returns:
    A dict from modes to dicts from numbers of terms to GB.
  """
  return {
      mode: {
          n: measure_fn(config.replace(memory=mode), n)[
              'peak_memory_gb']
          for n in terms}
      for mode in numerics.MEMORY_MODES}


def predict_training(config, model, device_counts):
  """Predicts the time of a run from operation counts.

  Args:
    config: a `configuration.Config`.
    model: the `models.ResidualFlow` that it describes.
    device_counts: list of numbers of devices.

  Returns:
    The `StepWork` of a step at the mean number of terms, and a list of dicts
    with `accelerator`, `num_devices`, `train_step_s` and `days`.
  """
  law = model.residual_blocks[0].log_det
  work = operations.step_work(
      model, config.optimizer.batch_size * config.optimizer.accumulation_steps,
      law.num_exact_terms + law.distribution.mean)
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
