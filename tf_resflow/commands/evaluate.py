"""Evaluates a checkpoint of a run on a part of its data set.

  tf_resflow evaluate --workdir=runs/digits
  tf_resflow evaluate --workdir=runs/digits --checkpoint=best
  tf_resflow evaluate --workdir=runs/digits --estimator=roulette:safe,exact=20
  tf_resflow baselines --dataset=digits --output=bits.npz
  tf_resflow evaluate --workdir=runs/digits --compare=bits.npz

A flow p(x|c) is evaluated given the condition of every example. tf_resflow
score evaluates examples of your own, tf_resflow ood compares with other images.

--output gets bits_per_dim or nats [repeats, n], log_prob and log_prob_stderr
[n], means over the repeats and so over the noise of dequantisation, and label
[n]; hybrid models add class_log_prob [n, K], --classify adds class_log_density
[n, K] = log p(x|y).

A readable table goes to stderr; the last line of stdout is one JSON object:
bits_per_dim of images or nats of vectors, with _stderr (across examples) and
estimator_stderr (across repeats); bits_per_dim_is or nats_is, if they are
bounds; reconstruction_error_max (of pixels in [0, 1], or in standard deviations
of columns); lipschitz_bound_max (certificate). Non-finite numbers are null.
"""

import dataclasses

from tf_resflow import workflow
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields

# Flags that were of this tool, the tools that answer them, and what these need
# to answer with the same keys.
MOVED = {'inputs': ('score', '--verify'), 'ood_dataset': ('ood',)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(
    options_lib.Evaluation, options_lib.FirstExamples,
    options_lib.Certification):
  """What is evaluated."""

  compare: str | None = fields.field(
      None, help='An .npz file of tf_resflow baselines --output: print paired '
      'differences to its models.')
  importance_samples: int | None = fields.field(
      None, help='Bits/dim of images by N draws of the noise of each, too, a '
      'tighter bound: importance_bits_per_dim.', minimum=2)
  num_reconstructions: int | None = fields.field(
      None, help='Invert only the first N examples.', minimum=1)
  classify: bool | None = fields.field(
      None, help="Classify by Bayes' rule from log p(x|y), if the condition is "
      'the label: one evaluation per label, 16 if log-determinants are '
      'estimated. By default if these are exact, with up to 32 labels.')


def main(options: Options) -> None:
  """Evaluates, writes the output, and reports."""
  flow = options.open(options.dtype, options.strategy)
  options.print(workflow.evaluate(
      flow, options.split, num_examples=options.num_examples,
      num_reconstructions=options.num_reconstructions, certify=options.certify,
      classify=options.classify, compare=options.compare,
      importance_samples=options.importance_samples,
      data_dir=options.data_dir, **options.settings(
          # A bound by draws takes exact log-determinants where they are quick.
          flow, dequantizes=options.importance_samples is None)))
