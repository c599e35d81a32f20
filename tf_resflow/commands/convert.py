"""Converts a checkpoint of the authors' PyTorch code to a run of this package.

  tf_resflow convert --checkpoint=mnist_resflow.pth --workdir=runs/mnist
  tf_resflow evaluate --workdir=runs/mnist
  tf_resflow train --flagfile=runs/mnist/run.flags --workdir=runs/mnist \\
    --num_steps=100  # From step 0, with a new optimizer.

Reads files of github.com/rtqichen/residual-flows (train_img.py) in the old or
new PyTorch format. PyTorch need not be installed; nothing in the file is
executed. The architecture is read from the stored training arguments; options
that this package lacks are an error. The last line of stdout is one JSON
object.
"""

import dataclasses

from tf_resflow import conversion
from tf_resflow import evaluation
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Options):
  """The conversion."""

  checkpoint: str = options_lib.required(help='The .pth file.')
  workdir: str = options_lib.required(
      help='Folder to create; it must be new or empty.')
  weights: str = fields.field(
      'ema', help='ema (averaged, with which the authors evaluate) or raw.',
      choices=('ema', 'raw'))
  uncertified: bool = fields.field(
      False, help='Also convert norms without a proven Lipschitz bound, such '
      'as --vnorms=122f.')


def main(options: Options) -> None:
  """Converts, and reports."""
  report = conversion.convert(
      options.checkpoint, options.workdir, options.weights,
      options.uncertified)
  rows = {name: value for name, value in report.items() if name != 'notes'}
  notes = [f'note: the checkpoint was {text}' for text in report['notes']]
  options_lib.print_report(
      report, evaluation.results.format_table(rows), *notes)
