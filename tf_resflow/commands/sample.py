"""Samples from a trained flow; interpolates and reconstructs images.

  tf_resflow sample --workdir=runs/digits --output=samples.png
  tf_resflow sample --workdir=runs/digits --output=fig7.png --num_samples=8 \\
    --temperature=0.7,0.8,0.9,1.0
  tf_resflow sample --workdir=runs/digits --output=paths.png --interpolate
  tf_resflow sample --workdir=runs/digits --output=inverse.png --reconstruct
  tf_resflow sample --workdir=runs/wine --output=samples.csv --num_samples=1000
  tf_resflow sample --workdir=runs/wine --output=given.csv --given=alcohol=9..10
  tf_resflow sample --workdir=runs/wine --output=filled.csv --given=gaps.csv
  tf_resflow sample --workdir=runs/labelled --output=rows.png --condition=all

Latents are drawn from N(0, --temperature^2) and mapped to data; with
--base=mixture the temperature is the factor of the standard deviations of the
components. Below 1, samples are less varied (Chen et al., 2019, Figure 7); this
is not sampling from p(x)^(1/T). Several temperatures, or labels (--condition),
make one row of images each, from the same draws. Sample i depends on --seed,
--dtype and i.

--interpolate: every row leads from one image of the split to another through
latent space. Latents go along an arc with a norm between those of the two ends,
since a straight line would pass through norms that no sample has. Both ends are
exactly the images themselves.

Images X enter as (X + 1/2) / num_levels; results are shown rounded down to
levels. A path has one condition; --reconstruct takes that of each image.

Flows on vectors can only be sampled: a table, .csv or .parquet, has a line per
sample, in the units and columns of the data, is written batch by batch, for any
number of samples, and appears whole, or not at all, with rows_per_second in the
report; .png shows the density and the samples of two columns, and pairs of
more: without a condition beside the training rows, if they are still there.
--given draws the other columns given some, by Markov chains on the exact log p
of the flow, which needs no training for it: age=41, an interval age=40..50 (an
end may be left out), or whole numbers age=41|43, several with commas; or a
table whose empty cells are filled, with --num_samples by so many rows for each.
Columns of the condition are among them. Where chains do not converge it stops,
or leaves these cells of a table empty, and says so.
An .npz file has the arrays x (output of the flow), image (uint8 0..255, as
shown), z (latents), and temperature, or index (of images in the split). If an
inverse does not converge, it stops with an error and writes nothing. A table
goes to stderr; the last line of stdout is one JSON object.
"""

from collections.abc import Sequence
import contextlib
import dataclasses
import time
from typing import Any

import numpy as np

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import workflow
from tf_resflow.columns import cells
from tf_resflow.columns import rows as rows_lib
from tf_resflow.columns import table_files
from tf_resflow.commands import conditions
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields
from tf_resflow.specs import machine

# Default number of samples in the row of a label.
_SAMPLES_OF_A_LABEL = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(
    options_lib.StoredRun, options_lib.OutputFile, options_lib.Split,
    conditions.Condition, options_lib.Randomness, options_lib.Inversion,
    options_lib.Devices):
  """The picture."""

  suffixes = ('.png', '.npz', '.csv', '.parquet')
  excludes = {
      'interpolate': ('reconstruct', 'temperature', 'seed', 'num_columns'),
      'reconstruct': ('temperature', 'seed', 'condition'),
      'indices': ('num_samples',),
      'given': ('condition', 'temperature', 'interpolate', 'reconstruct')}
  requires = {
      'num_points': ('interpolate',),
      **dict.fromkeys(('split', 'indices', 'data_dir'),
                      ('interpolate', 'reconstruct'))}

  output: str = options_lib.required(
      help='File to write, .png or .npz, or .csv or .parquet of vectors.')
  num_samples: int | None = fields.field(
      None, help='Samples per temperature (64 by default) or label (8), pairs '
      'to interpolate (8), images to reconstruct (32).', minimum=1)
  temperature: tuple[float, ...] = fields.field(
      (1.0,), help='Standard deviation of the latents, or several.', minimum=0,
      min_length=1)
  num_columns: int | None = fields.field(
      None, help='Images in a row; by default about a square.', minimum=1)
  given: str | None = fields.field(
      None, help='Columns of a table that are given, such as age=41,pay=2..3, '
      'or a table with empty cells, see above; for tables.')
  interpolate: bool = fields.field(
      False, help='Show paths between images of a split.')
  reconstruct: bool = fields.field(
      False, help='Show images of a split above their reconstructions from '
      'latents, and report the largest error.')
  indices: tuple[int, ...] = fields.field(
      (), help='Indices of images in the split, such as 3,14; pairs for '
      '--interpolate. By default the first ones.', minimum=0)
  num_points: int = fields.field(
      10, help='Images per path, ends included.', minimum=2)

  def check(self) -> None:
    super().check()
    model = self.config.model
    is_table = table_files.is_table(self.output)
    self.refuse(
        not model.is_image, ('interpolate', 'reconstruct', 'num_columns'),
        f'cannot be used with model={model.name()}', 'It is for images.')
    self.refuse(model.is_image, ('given',), 'cannot be used with images',
                'It is for columns of a table.')
    self.require(
        not self.interpolate or len(self.indices) % 2 == 0, 'indices',
        'pairs: start, end, start, end')
    size = getattr(model, 'event_size', 1)
    if not is_table or self.given is not None:  # Not batch by batch.
      machine.check_memory(  # Latents and samples alone, in float32.
          8 * (self.num_samples or 0) * len(self.temperature) * size,
          'num_samples', self.num_samples)
    self.require(self.given is None or is_table, 'output',
                 'a file .csv or .parquet with --given')
    self.require(not (model.is_image and is_table), 'output',
                 'a file .png or .npz for images')
    self.require(
        model.is_image or self.output.endswith('.npz')
        or len(self.temperature) == 1,
        'temperature', 'one number, but for .npz files of vectors')

  @property
  def given_columns(self) -> Any:
    """What is given by columns, see `workflow.sample_given`, or a path."""
    if table_files.is_table(self.given):
      return self.given
    given: dict[str, Any] = {}
    for pair in str(self.given).split(','):
      name, _, text = map(str.strip, pair.partition('='))
      self.require(name and text and name not in given, 'given',
                   'a table, or pairs such as age=41,pay=2..3,grade=1|2')
      given[name] = self._value(text)
    return given

  def _value(self, text: str) -> Any:
    """A number, the ends of an interval, a list, or the name of a level."""
    is_pair = '..' in text
    parts = text.split('..', 1) if is_pair else text.split('|')
    values = [float(part) if cells.is_number(part) else part or None
              for part in map(str.strip, parts)]
    are_numbers = not any(isinstance(value, str) for value in values)
    self.require(
        not is_pair or are_numbers and values != [None, None], 'given',
        'ends such as 2..3', f'It has {text}.')
    return tuple(values) if is_pair else text if not are_numbers else (
        values if values[1:] else values[0])

  def images(
      self, flow: 'models.Flow', default: int, per_sample: int = 1,
  ) -> tuple['datasets.Split', Sequence[int]]:
    """Returns the split and the indices of the chosen images in it."""
    split = flow.run.open(self.split, self.data_dir)
    indices = self.indices or range(per_sample * (self.num_samples or min(
        default, split.num_examples // per_sample)))
    self.require(
        max(indices) < split.num_examples,
        'indices' if self.indices else 'num_samples',
        f'images among the {split.num_examples} of the {self.split} split')
    return split, indices


def _picture(options: Options, flow: 'models.Flow', settings: dict[str, Any]
             ) -> 'evaluation.pictures.Picture':
  if options.reconstruct:
    return evaluation.reconstructions(
        flow, *options.images(flow, default=32),
        num_columns=options.num_columns, **settings)
  condition = options.read_conditions(flow)
  if options.interpolate:
    options.require(
        condition is None or len(condition) == 1, 'condition',
        'one condition with --interpolate', 'All points of a path have it.')
    return evaluation.interpolations(
        flow, *options.images(flow, default=8, per_sample=2),
        num_points=options.num_points, condition=condition, **settings)
  return evaluation.samples(
      flow, num_columns=options.num_columns,
      **_draws(options, condition, 64), **settings)


def _draws(options: Options, condition: np.ndarray | None, default: int
           ) -> dict[str, Any]:
  """Returns the arguments of `pictures.draw`, with a condition of each."""
  num_samples = options.num_samples or default
  if options.is_condition_file and options.num_samples:
    condition = condition[np.random.default_rng(options.seed).integers(
        len(condition), size=num_samples)]
  elif options.is_condition_file:
    num_samples = len(condition)
  elif condition is not None and len(condition) > 1:
    options.require(
        len(options.temperature) == 1, 'temperature',
        'one number with several labels', 'Both make rows.')
    num_samples = options.num_samples or _SAMPLES_OF_A_LABEL
    condition = np.repeat(condition, num_samples, axis=0)
  return {'num_samples': num_samples, 'condition': condition,
          'seed': options.seed, 'temperatures': options.temperature}


def _save_vectors(options: Options, flow: 'models.Flow',
                  settings: dict[str, Any]) -> dict[str, Any]:
  """Draws vectors and writes them; returns the report."""
  is_picture = options.output.endswith('.png')
  condition = options.read_conditions(
      flow, 'drop' if options.num_samples else 'error')
  options.require(
      not is_picture or flow.event_size != 2 or condition is None or
      len(condition) == 1, 'condition', 'one condition with .png of 2-D data',
      'It shows one density.')
  draws = _draws(options, condition, 64 if not is_picture else 20_000 if
                 flow.event_size == 2 else 2_000) | settings
  if table_files.is_table(options.output):
    return _write_rows(options.output, flow, **draws)
  arrays, report = evaluation.pictures.draw(flow, **draws)
  if not is_picture:
    np.savez(options.output, **arrays)
  elif flow.event_size == 2:
    evaluation.plots.save_image(options.output, evaluation.density_picture(
        flow, samples=arrays['x'], condition=condition))
  else:
    parts = {'samples': arrays['x']}
    if condition is None:
      with contextlib.suppress(errors.InvalidValueError):  # They may be gone.
        train = flow.run.open('train')
        parts = {'data': train.arrays['x'].numpy()[
            train.chosen(train.num_examples)], **parts}
    evaluation.plots.pair_plot(flow.schema.names, parts).savefig(options.output)
  return report


def _write_rows(output, flow, num_samples, condition, **draws):
  """Writes samples of vectors batch by batch; returns the report of `draw`."""
  # Those of a part may be whole numbers though others are not.
  types = {} if condition is None else rows_lib.to_frame(
      flow.schema, None, evaluation.batch_map.conditions_for(
          flow, condition)).dtypes
  start, done = time.monotonic(), 0
  report: dict[str, float] = {}

  def frames():
    nonlocal done, report
    for part, given in evaluation.pictures.draw_batches(
        flow, num_samples, condition=condition, **draws):
      first, done = done, done + len(part.x)
      yield rows_lib.to_frame(flow.schema, part.x, given).astype(types)
      report = {name: max(value, report.get(name, value))
                if name.endswith('_max') else
                (first * report.get(name, 0.0) + len(part.x) * value) / done
                for name, value in part.report().items()}

  table_files.write(output, frames())
  return {'num_samples': num_samples, 'seed': draws['seed'],
          'temperature': draws['temperatures'][0], **report,
          **options_lib.rate(done, start)}


def _save_given(options: Options, flow: 'models.Flow',
                settings: dict[str, Any]) -> dict[str, Any]:
  """Draws what is not given and writes the rows; returns the report."""
  given = options.given_columns
  settings = {**settings, 'seed': options.seed}
  frame = workflow.impute(flow, given, **settings) if isinstance(
      given, str) and not options.num_samples else workflow.sample_given(
          flow, options.num_samples or 64, given, **settings)
  table_files.write(options.output, [frame])
  return {'num_rows': len(frame), **{
      name: values[0] if len(values) == 1 else values
      for name, values in frame.attrs.items()}}


def main(options: Options) -> None:
  """Makes the picture, writes it, and reports."""
  flow = options.open(options.dtype, options.strategy)
  settings = {
      'solver': options.make_solver(), 'strategy': flow.run.strategy,
      'batch_size': options.batch_size or evaluation.default_batch_size(flow),
      'verbose': 1}
  if options.given is not None:
    del settings['solver']  # The flow is drawn from with its own.
    report = _save_given(options, flow, settings)
  elif not flow.is_image:
    report = _save_vectors(options, flow, settings)
  else:
    picture = _picture(options, flow, settings)
    report = picture.report
    if options.output.endswith('.npz'):
      np.savez(options.output, **picture.arrays)
    else:
      evaluation.plots.save_image_grid(
          options.output, picture.images, num_columns=picture.num_columns)
  report = {'step': flow.run.step, 'output': options.output,
            'dtype': options.dtype, **report}
  options_lib.print_report(report)
