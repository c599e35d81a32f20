"""Measures how well log p(x) tells the images of a run from other images.

  tf_resflow ood --workdir=runs/cifar10 --ood_dataset=svhn_cropped
  tf_resflow ood --workdir=runs/digits --ood_dataset=x.npz --output=scores.npz

AUROC is the probability that an image of the run (in) has a higher log p(x)
than one of the other data (out); noise_share is the standard error of scores
relative to their spread (docs/out_of_distribution.md). Histograms are drawn.

--output gets log_prob, log_prob_stderr, class_log_prob (of hybrid models) and
label [n], and the same for the other data, prefixed ood_. A readable table goes
to stderr; the last line of stdout is one JSON object.
"""

import dataclasses
import os
import re

from tf_resflow import workflow
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Evaluation, options_lib.FirstExamples):
  """The other data."""

  ood_dataset: str = options_lib.required(
      help='Other data, of the same shape: the name of a data set, for its '
      'test part, or an .npz file with an array x (or image) [n, H, W, C], '
      'integers from 0 to num_levels - 1 or dequantised floats in [0, 1), and '
      'optionally label [n].')
  picture: str | None = fields.field(
      None, help='.png or .svg file of the histograms, by default ood_NAME.png '
      'in the workdir.')
  overwrite: bool = fields.field(
      False, help='Replace the files of --output and --picture if they exist.')
  num_repeats: int | None = fields.field(
      None, help='Draws of an estimated score that are averaged, 16 by '
      'default.', minimum=16)
  num_probes: int = fields.field(1, is_flag=False)

  def check(self) -> None:
    super().check()
    self.check_file('picture', self.picture_path, ('.png', '.svg'))

  @property
  def picture_path(self) -> str:
    """Where the histograms go."""
    # Of a file, but not of array:FILE, its name alone.
    name = re.sub(r'^(?![a-z0-9]+:)(?:.*/)?([^/]*)\.npz$', r'\1',
                  self.ood_dataset)
    return self.picture or os.path.join(
        self.workdir, f'ood_{re.sub("[^A-Za-z0-9_.-]", "_", name)}.png')


def main(options: Options) -> None:
  """Scores both data, draws, writes the output, and reports."""
  flow = options.open(options.dtype, options.strategy)
  options.print(workflow.detect(
      flow, options.ood_dataset, options.split,
      num_examples=options.num_examples, num_repeats=options.num_repeats,
      estimator=options.make_estimator(), data_dir=options.data_dir,
      picture=options.picture_path, seed=options.seed,
      batch_size=options.batch_size, verbose=1))
