"""Samples from a trained flow; interpolates and reconstructs images.

  tf_resflow sample --workdir=runs/digits --output=samples.png
  tf_resflow sample --workdir=runs/digits --output=fig7.png --num_samples=8 \\
    --temperature=0.7,0.8,0.9,1.0
  tf_resflow sample --workdir=runs/digits --output=paths.png --interpolate
  tf_resflow sample --workdir=runs/digits --output=inverse.png --reconstruct
  tf_resflow sample --workdir=runs/wine --output=samples.csv --num_samples=1000
  tf_resflow sample --workdir=runs/labelled --output=rows.png --condition=all

Latents are drawn from N(0, --temperature^2) and mapped to data. Below 1,
samples are less varied (Chen et al., 2019, Figure 7); this is not sampling from
p(x)^(1/T). Several temperatures, or labels (--condition), make one row of
images each, from the same draws. Sample i depends on --seed, --dtype and i.

--interpolate: every row leads from one image of the split to another through
latent space. Latents go along an arc with a norm between those of the two ends
(--path=spherical), since a straight line (--path=linear) would pass through
norms that no sample has. Both ends are exactly the images themselves.

Images X enter as (X + 1/2) / num_levels; results are shown rounded down to
levels. A path has one condition; --reconstruct takes that of each image.

Flows on vectors can only be sampled: .csv has a line per sample, in the units
and columns of the data; .png, for 2-D data, shows the density and the samples.
An .npz file has the arrays x (output of the flow), image (uint8 0..255, as
shown), z (latents), and temperature, or index (of images in the split). If an
inverse does not converge, it stops with an error and writes nothing. A table
goes to stderr; the last line of stdout is one JSON object.
"""

from collections.abc import Sequence
import dataclasses
import os
from typing import Any

import numpy as np

from tf_resflow import evaluation
from tf_resflow.commands import conditions
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields
from tf_resflow.specs import machine

# Default number of samples in the row of a label.
_SAMPLES_OF_A_LABEL = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(
    options_lib.Run, options_lib.OutputFile, options_lib.Split,
    conditions.Condition, options_lib.Randomness, options_lib.Inversion,
    options_lib.Devices):
  """The picture."""

  suffixes = ('.png', '.npz', '.csv')

  batch_size: int | None = fields.field(
      None, help='Examples per batch and device: 128 by default, more for '
      'vectors.', minimum=1)
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
  path: str = fields.field(
      'spherical', help='Path between two latents, see above.',
      choices=('spherical', 'linear'))

  def check(self) -> None:
    """Refuses what would be ignored."""
    super().check()
    self.refuse(self.reconstruct, ('interpolate',), 'with --reconstruct',
                'They make two pictures; choose one.')
    shows_split = self.interpolate or self.reconstruct
    for condition, names, where, advice in (
        (shows_split, ('temperature', 'seed'),
         'with --interpolate or --reconstruct', 'They are not random.'),
        (not shows_split, ('split', 'indices', 'data_dir'),
         'without --interpolate or --reconstruct', 'Samples need no images.'),
        (self.interpolate, ('num_columns',), 'with --interpolate',
         '--num_points says how many images are in a row.'),
        (not self.interpolate, ('path', 'num_points'), 'without --interpolate',
         'It describes its paths.'),
        (self.reconstruct, ('condition',), 'with --reconstruct',
         'Images come with their own.'),
        (bool(self.indices), ('num_samples',), 'with --indices',
         'They say how many.')):
      self.refuse(condition, names, where, advice)
    self.require(
        not self.interpolate or len(self.indices) % 2 == 0, 'indices',
        'pairs: start, end, start, end')

  def check_run(self) -> None:
    size = getattr(self.config.model, 'event_size', 1)
    machine.check_memory(  # Latents and samples alone, in float32.
        8 * (self.num_samples or 0) * len(self.temperature) * size,
        'num_samples', self.num_samples)
    suffix = os.path.splitext(self.output)[1]
    if not self.is_of_vectors:
      self.require(
          suffix != '.csv', 'output', 'a file .png or .npz for images')
      return
    self.require(
        suffix != '.png' or self.config.model.event_size == 2, 'output',
        'a .csv or .npz file; .png is for images and 2-D data')
    self.require(
        suffix == '.npz' or len(self.temperature) == 1, 'temperature',
        'one number with .csv and .png files of vectors',
        'An .npz file holds several.')
    self.refuse(
        True, ('interpolate', 'reconstruct', 'num_columns'),
        f'with model={self.config.model.name()}', 'It is for images.')

  def images(self, run: options_lib.OpenedRun, default: int, per_sample: int = 1
             ) -> tuple[Any, Sequence[int]]:
    """Returns the split and the indices of the chosen images in it."""
    split = self.open_split(run)
    if self.indices:
      self.require(
          max(self.indices) < split.num_examples, 'indices',
          f'numbers below {split.num_examples}',
          f'So many images are in the {self.split} split.')
      return split, self.indices
    most = split.num_examples // per_sample
    self.require(
        (self.num_samples or 0) <= most, 'num_samples', f'at most {most}',
        f'That many are in the {self.split} split.')
    return split, range(per_sample * (self.num_samples or default))


def _picture(options: Options, run: options_lib.OpenedRun,
             settings: dict[str, Any]):
  if options.interpolate:
    condition = options.read_conditions(run.model)
    options.require(
        condition is None or len(condition) == 1, 'condition',
        'one condition with --interpolate', 'All points of a path have it.')
    return evaluation.interpolations(
        run.model, *options.images(run, default=8, per_sample=2),
        num_points=options.num_points, path=options.path, condition=condition,
        **settings)
  if options.reconstruct:
    return evaluation.reconstructions(
        run.model, *options.images(run, default=32),
        num_columns=options.num_columns, **settings)
  return evaluation.samples(
      run.model, seed=options.seed, temperatures=options.temperature,
      num_columns=options.num_columns, **_conditions(
          options, options.read_conditions(run.model), 64), **settings)


def _conditions(
    options: Options, condition: np.ndarray | None, default: int) -> dict:
  """Returns how many samples to draw, and the condition of each."""
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
    if options.num_samples is None:
      num_samples = _SAMPLES_OF_A_LABEL
    condition = np.repeat(condition, num_samples, axis=0)
  return {'num_samples': num_samples, 'condition': condition}


def _draw_vectors(options: Options, run: options_lib.OpenedRun,
                  settings: dict[str, Any]) -> dict:
  suffix = os.path.splitext(options.output)[1]
  condition = options.read_conditions(
      run.model, 'drop' if options.num_samples else 'error')
  options.require(
      suffix != '.png' or condition is None or len(condition) == 1, 'condition',
      'one condition with .png of vectors', 'It shows one density.')
  arrays, report = evaluation.pictures.draw(
      run.model, seed=options.seed, temperatures=options.temperature,
      **_conditions(options, condition, 20_000 if suffix == '.png' else 64),
      **settings)
  if suffix == '.npz':
    np.savez(options.output, **arrays)
  elif suffix == '.csv':
    run.model.schema.to_frame(arrays['x'], arrays.get('condition')).to_csv(
        options.output, index=False, lineterminator='\n', na_rep='nan')
  else:
    evaluation.plots.save_image(options.output, evaluation.density_picture(
        run.model, samples=arrays['x'], condition=condition))
  return report


def main(options: Options) -> None:
  """Makes the picture, writes it, and reports."""
  run = options.open(options.dtype, options.strategy)
  settings = {
      'solver': options.make_solver(), 'strategy': run.strategy, 'verbose': 1,
      'batch_size': (options.batch_size
                     or evaluation.default_batch_size(run.model))}
  if not run.model.is_image:
    report = _draw_vectors(options, run, settings)
  else:
    picture = _picture(options, run, settings)
    report = picture.report
    if options.output.endswith('.npz'):
      np.savez(options.output, **picture.arrays)
    else:
      evaluation.plots.save_image_grid(
          options.output, picture.images, num_columns=picture.num_columns)
  report = {'step': run.step, 'output': options.output, 'dtype': options.dtype,
            **report}
  options_lib.print_report(report, evaluation.results.format_table(report))
