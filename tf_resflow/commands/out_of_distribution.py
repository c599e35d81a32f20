"""The half of bin/evaluate that sets other data against those of a run."""

import dataclasses
import os
import re
from typing import Any

from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields

_PICTURES = ('.png', '.svg')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Against(options_lib.OutputFile):
  """Other data."""

  against: str | None = fields.field(
      None, help='Other data of the same shape, to be told from those of the '
      'run by log p(x): the name of a data set, whose test part is taken, or '
      'an .npz file with an array x (or image) [n, H, W, C], integers from 0 '
      'to num_levels - 1 or dequantised floats in [0, 1), and perhaps one of '
      'integers, label [n]. Prints AUROC and draws histograms.')
  picture: str | None = fields.field(
      None, help='The .png or .svg file of the histograms, by default '
      'against_NAME.png in the workdir.')

  def check(self) -> None:
    super().check()
    self.require(self.against != '', 'against',
                 'the name of a data set or the path of an .npz file')
    self.refuse(self.against is None, ('picture',), 'without --against',
                'It shows the scores of both data.')

  @property
  def is_against_file(self) -> bool:
    """Whether the other data are a file of images, not a data set."""
    return self.against.endswith('.npz') and not re.match(
        '[a-z0-9]+:', self.against)

  def picture_path(self, workdir: str) -> str:
    """Returns where the histograms go."""
    name = self.against
    if self.is_against_file:
      name, _ = os.path.splitext(os.path.basename(name))
    return self.picture or os.path.join(
        workdir, f'against_{re.sub("[^A-Za-z0-9_.-]", "_", name)}.png')

  def check_picture(self, workdir: str) -> None:
    """Raises `InvalidValueError` if the picture cannot be written."""
    # A workdir that there is not has an error of its own.
    if self.picture is not None or os.path.isdir(workdir):
      self.check_file('picture', self.picture_path(workdir), _PICTURES)


def main(options: Any, run: options_lib.OpenedRun) -> None:
  """Scores both data, writes pictures and files, and reports.

  Args:
    options: those of bin/evaluate, with `Against`.
    run: the run.
  """
  # Loads TensorFlow.
  from tf_resflow.experiments import out_of_distribution

  options.require(
      run.model.num_levels is not None, 'against', 'no such flag with vectors',
      'bin/evaluate --inputs --output has the log-density of any of them.')
  options.require(
      run.model.condition_spec is None, 'against',
      'no such flag with a flow p(x|c)', 'Other data have no such condition.')
  rule = evaluation.scoring_rule(
      run.model,
      options.make_estimator(),
      options.num_repeats if 'num_repeats' in options.given else None)
  names = (f'{run.config.data.dataset}, {options.split}',
           os.path.basename(options.against) if options.is_against_file
           else options.against)
  report = {
      'step': run.step, 'num_devices': run.strategy.num_replicas_in_sync,
      'split': options.split, 'against': options.against,
      **out_of_distribution.main(
          run.model, *_splits(options, run), rule, names=names,
          picture=options.picture_path(options.workdir), output=options.output,
          batch_size=options.batch_size, seed=options.seed,
          num_examples=options.num_examples, strategy=run.strategy, verbose=1)}
  options_lib.print_report(
      report, evaluation.format_table(report), '',
      *out_of_distribution.sentences(report, names))


def _splits(options, run):
  # First, because they may not suit.
  if options.is_against_file:
    others = evaluation.read_images(options.against, run.model, 'against')
    where = options.against
  else:
    others = _other_split(options, run)
    where = f'the test part of {options.against}'
  options.check_count('num_examples', others.num_examples, where)
  return options.load_split(run, 'num_examples'), others


def _other_split(options, run):
  model, data = run.model, run.config.data
  info = datasets.info(options.against, 'against')
  options.require(
      info.num_levels is not None, 'against', 'a data set of images')
  # What has no more levels than these cannot be reduced.
  num_bits = data.num_bits if info.num_levels == 256 else 8
  info = info.changed(num_bits=num_bits)
  options.require(
      (info.image_shape, info.num_levels) == (
          model.event_shape, model.num_levels), 'against',
      f'images {model.event_shape} of {model.num_levels} levels, as those of '
      'the run', f'These are {info.image_shape} of {info.num_levels} levels, '
      'and nothing is resized, coloured or scaled here: give an .npz file of '
      'images that suit.')
  return datasets.load(
      options.against, 'test', data_dir=options.data_dir or data.data_dir,
      num_bits=num_bits)
