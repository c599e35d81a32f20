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

Flows on vectors can only be sampled: .csv has a line per sample, in the units
and columns of the data, is written batch by batch, for any number of samples,
and appears whole, or not at all, with rows_per_second in the report; .png shows
the density and the samples of two columns, and pairs of more: without a
condition beside the training rows, if they are still there.
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
import itertools
import os
import time
from typing import Any

import numpy as np

from tf_resflow import datasets
from tf_resflow import drafts
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

  suffixes = ('.png', '.npz', '.csv')
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
      help='File to write, .png or .npz, or .csv of vectors.')
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
      'or a table with empty cells, see above; for .csv.')
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
    self.refuse(
        not self.config.model.is_image,
        ('interpolate', 'reconstruct', 'num_columns'),
        f'cannot be used with model={self.config.model.name()}',
        'It is for images.')
    self.refuse(self.config.model.is_image, ('given',),
                'cannot be used with images', 'It is for columns of a table.')
    self.require(
        not self.interpolate or len(self.indices) % 2 == 0, 'indices',
        'pairs: start, end, start, end')
    size = getattr(self.config.model, 'event_size', 1)
    suffix = os.path.splitext(self.output)[1]
    if suffix != '.csv' or self.given is not None:  # Not batch by batch.
      machine.check_memory(  # Latents and samples alone, in float32.
          8 * (self.num_samples or 0) * len(self.temperature) * size,
          'num_samples', self.num_samples)
    self.require(self.given is None or suffix == '.csv', 'output',
                 'a file .csv with --given')
    if self.config.model.is_image:
      self.require(
          suffix != '.csv', 'output', 'a file .png or .npz for images')
      return
    self.require(
        suffix == '.npz' or len(self.temperature) == 1, 'temperature',
        'one number, but for .npz files of vectors')

  @property
  def given_columns(self) -> Any:
    """What is given by columns, see `workflow.sample_given`, or a path."""
    if table_files.is_table(self.given):
      return self.given
    pairs = [pair.partition('=') for pair in str(self.given).split(',')]
    self.require(
        all(name and value for name, _, value in pairs)
        and len({name for name, *_ in pairs}) == len(pairs), 'given',
        'a table, or pairs such as age=41,pay=2..3,grade=1|2')
    return {name.strip(): self._value(value) for name, _, value in pairs}

  def _value(self, text: str) -> Any:
    """A number, the ends of an interval, a list, or the name of a level."""
    low, dots, high = text.partition('..')
    parts = [low, high] if dots else text.split('|')
    numbers = [float(part) if cells.is_number(part.strip()) else None
               for part in parts]
    if dots:
      self.require(
          text.strip() != '..' and all(
              (number is None) == (not part.strip()) for number, part in zip(
                  numbers, parts, strict=True)), 'given', 'ends such as 2..3',
          f'It has {text}.')
      return tuple(numbers)
    self.require(text.strip().lower() not in ('nan', 'na', 'null'), 'given',
                 'columns that are known', 'Leave the others out.')
    return text if None in numbers else numbers if numbers[1:] else numbers[0]

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
  suffix = os.path.splitext(options.output)[1]
  condition = options.read_conditions(
      flow, 'drop' if options.num_samples else 'error')
  options.require(
      suffix != '.png' or flow.event_size != 2 or condition is None or
      len(condition) == 1, 'condition', 'one condition with .png of 2-D data',
      'It shows one density.')
  draws = _draws(options, condition, 64 if suffix != '.png' else 20_000 if
                 flow.event_size == 2 else 2_000)
  if suffix == '.csv':
    return _write_rows(options.output, flow, **draws, **settings)
  arrays, report = evaluation.pictures.draw(flow, **draws, **settings)
  if suffix == '.npz':
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


def _write_rows(output, flow, num_samples, condition, seed, temperatures,
                solver, strategy, batch_size, verbose):
  """Writes samples of vectors batch by batch; returns the report of `draw`."""
  condition, num_rows = evaluation.pictures.conditions_of_rows(
      flow, condition, num_samples)
  size, start = num_rows * num_samples, time.monotonic()

  def latents():
    for row, i in itertools.product(
        range(num_rows), range(0, num_samples, batch_size)):
      z = flow.draw_latents(
          min(batch_size, num_samples - i), seed=seed, start=i,
          temperature=temperatures[0])
      first = row * num_samples + i
      yield (z,) if condition is None else (
          z, condition[first:first + len(z)])

  done = 0
  report: dict[str, float] = {}
  with drafts.atomic_path(output) as draft:
    for part in evaluation.inversion.decode_batches(
        flow, latents(), solver, strategy,
        evaluation.batch_map.progress_bar(size, verbose)):
      first, done = done, done + len(part.x)
      rows_lib.to_frame(
          flow.schema, part.x, condition if condition is None else
          condition[first:done]).to_csv(
              draft, mode='a', header=not first, index=False,
              lineterminator='\n', na_rep='nan')
      report = {name: max(value, report.get(name, value))
                if name.endswith('_max') else
                (first * report.get(name, 0.0) + len(part.x) * value) / done
                for name, value in part.report().items()}
  return {'num_samples': num_samples, 'seed': seed,
          'temperature': temperatures[0], **report,
          **options_lib.rate(size, start)}


def _save_given(options: Options, flow: 'models.Flow',
                settings: dict[str, Any]) -> dict[str, Any]:
  """Draws what is not given and writes the rows; returns the report."""
  given = options.given_columns
  if isinstance(given, str) and not options.num_samples:
    frame = workflow.impute(flow, given, seed=options.seed, **settings)
  else:
    frame = workflow.sample_given(
        flow, options.num_samples or 64, given, seed=options.seed, **settings)
  frame.to_csv(options.output, index=False, lineterminator='\n', na_rep='nan')
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
