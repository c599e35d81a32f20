"""Flags about the conditions of flows p(x|c)."""

import dataclasses
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow.columns import rows as rows_lib
from tf_resflow.columns import table_files
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition(options_lib.Options):
  """The condition of a flow p(x|c)."""

  condition: str | None = fields.field(
      None, help='Condition of samples: labels (3, or 0,1,2, or all; a row '
      'each), the numbers of one condition, or a file with one condition per '
      'sample, .npz (array condition) or a table such as .csv, of whose rows '
      '--num_samples are drawn if it is given.')

  def read_conditions(self, model: Any, missing: str = 'error') -> Any:
    """Returns the conditions that the flag names, `[N, ...]`, or raises.

    None for a flow that takes none. `missing` is that of
    `evaluation.example_files.read_condition`.
    """
    spec, schema = model.condition_spec, model.schema
    if spec is None:
      self.refuse(
          True, ('condition',), 'cannot be used with an unconditional flow',
          'Leave it out, or train with --condition_on.')
      return None
    is_named = not spec.num_labels and schema.is_named
    expected = (
        f'labels from 0 to {spec.num_labels - 1}, all,' if spec.num_labels else
        f'{",".join(schema.condition_names)}, such as {example(model.config)},'
        if is_named else f'{spec.expected},') + ' or an .npz file or table'
    errors.check(
        self.condition, 'condition', problem='is missing',
        advice=f'The flow of this run is p(x|c): {expected}.')
    if self.is_condition_file:
      return evaluation.example_files.read_condition(
          self.condition, model, 'condition', missing)
    if spec.num_labels and self.condition == 'all':
      return np.arange(spec.num_labels)
    values = self.condition.split(',')
    try:
      return spec.convert(
          rows_lib.condition_array(schema, values) if is_named else
          np.array(values).astype(int if spec.num_labels else float), 'float64'
      ).numpy()
    # What is no number, or no such condition.
    except (OverflowError, ValueError) as error:
      self.require(
          False, 'condition', expected, getattr(error, 'advice', ''))

  @property
  def is_condition_file(self) -> bool:
    """Whether there is one condition per sample."""
    return (self.condition or '').endswith('.npz') or (
        table_files.is_table(self.condition))


def example(config: Any) -> str:
  """Returns a value of --condition: first levels, means; '' for none."""
  schema = getattr(config, 'schema', None)
  if schema and schema.conditions:
    return ','.join(
        column.levels[0] if column.levels else
        ','.join(f'{mean:.3g}' for mean in column.mean)
        for column in schema.conditions)
  return 'all' if getattr(config, 'condition_labels', 0) else ''
