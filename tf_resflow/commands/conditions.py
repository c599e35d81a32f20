"""Flags about the conditions of flows p(x|c)."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from absl import flags
import numpy as np

from tf_resflow import evaluation
from tf_resflow.columns import frames
from tf_resflow.columns import table_files
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields

# That are compared where nobody asked for it.
_MAX_LABELS = 32


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
    spec = model.condition_spec
    if spec is None:
      self.refuse(True, ('condition',), 'with an unconditional flow',
                  'Leave it out, or train with --condition.')
      return None
    columns = frames.sources(spec.names)
    expected = (
        f'labels from 0 to {spec.num_labels - 1}, all,' if spec.num_labels else
        f'{",".join(columns)}, such as {example(model.config)},'
        if len(columns) < len(spec.names) else
        f'{spec.expected},') + ' or an .npz file or table'
    if not self.condition:
      raise flags.Error('--condition is missing. The flow of this run is '
                        f'p(x|c): {expected}.')
    if self.is_condition_file:
      return evaluation.example_files.read_condition(
          self.condition, spec, 'condition', missing=missing)
    if spec.num_labels and self.condition == 'all':
      return np.arange(spec.num_labels)
    values = self.condition.split(',')
    try:
      return spec.convert(
          values if spec.names else np.array(values).astype(
              int if spec.num_labels else float), 'float64').numpy()
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
  means = getattr(config, 'condition_mean', ())
  names = getattr(config, 'condition_names', ()) or [
      f'{i}' for i in range(len(means))]
  values: dict[str, str] = {}
  for (name, column), mean in zip(
      frames.columns_of(names).items(), means, strict=False):
    values.setdefault(
        column, f'{mean:.3g}' if name == column else name.partition('=')[2])
  return ','.join(values.values()) or 'all' * bool(
      getattr(config, 'condition_labels', 0))


def write_table(path: str, model: Any, arrays: Mapping[str, np.ndarray],
                columns: Sequence[str] = ()) -> None:
  """Writes vectors and what they are conditioned on to a .csv file.

  Columns are in the order of the data of the run, if these are a table; those
  of further arrays `[N]` that `columns` names stand behind.
  """
  import pandas as pd  # Takes a second.

  example_files = evaluation.example_files
  frame = pd.DataFrame(
      arrays['x'], columns=list(example_files.column_names(model)))
  names = example_files.condition_names(model.condition_spec)
  if names:
    given = np.reshape(arrays['condition'], [len(frame), -1]).T
    # Models of other data have no places: the condition stands behind.
    places = model.config.condition_places or range(
        len(frame.columns), len(frame.columns) + len(names))
    for place, name, values in sorted(zip(places, names, given, strict=True)):
      frame.insert(place, name, values)
  for name in columns:
    frame[name] = arrays[name]
  pd.DataFrame(frames.collapsed(frame)).to_csv(
      path, index=False, lineterminator='\n', na_rep='nan')


def has_labels(model: Any) -> bool:
  """Whether the condition of a flow is a label."""
  spec = model.condition_spec
  return spec is not None and spec.num_labels > 0


def class_scores(
    run: options_lib.OpenedRun, split: Any, asked: bool | None = None,
    data_dir: str | None = None, **settings: Any) -> Any:
  """Classifies a split by Bayes' rule, if the condition of a flow is the label.

  Args:
    run: with the model.
    split: the data.
    asked: what a flag says of it; None for where it takes one draw for each of
      a few labels.
    data_dir: of the training part, which has the frequencies of the labels.
    **settings: of `experiments.bayes.main`.

  Returns:
    Its `ClassScores`, or None.
  """
  if asked is None and has_labels(run.model):
    asked = (run.model.condition_spec.num_labels <= _MAX_LABELS
             and evaluation.scoring_rule(run.model).num_repeats == 1)
  if not asked:
    return None
  # Loads TensorFlow.
  from tf_resflow.experiments import bayes
  train = run.config.open_split('train', data_dir)
  return bayes.main(
      run.model, split, bayes.log_frequencies(train), strategy=run.strategy,
      verbose=1, **settings)
