"""Evaluates a checkpoint of a run on its data set or given images.

  bin/evaluate --workdir=/tmp/digits
  bin/evaluate --workdir=/tmp/digits --checkpoint=best
  bin/evaluate --workdir=/tmp/digits --estimator=roulette:safe,exact=20
  bin/baselines --dataset=digits --output=/tmp/baselines.npz
  bin/evaluate --workdir=/tmp/digits --compare=/tmp/baselines.npz
  bin/evaluate --workdir=/tmp/digits --inputs=x.npz --output=y.npz
  bin/evaluate --workdir=/tmp/cifar10 --against=svhn_cropped

The third command is the protocol of the paper. --inputs takes an .npz file
with dequantised images x [n, H, W, C] in [0, 1), in place of a split; --output
then gets log_prob, its deviation log_prob_deviation and log_det [n] in nats,
bits_per_dim [n], z [n, D] and log_det_repeats [repeats, n], with noise channels
also log_prob_repeats. z is flattened from channels-last features; for a workdir
of bin/convert from channels-first ones, as the authors' code does.

--output of a split gets bits_per_dim [repeats, n], log_prob and
log_prob_deviation [n], means over the repeats and so over the noise of
dequantisation, and label [n]; of hybrids all files get class_log_prob [n, K].

--against takes the log p(x) of single images for a score that tells the data of
the run (in) from others (out): AUROC is the probability that an image of the
run has the higher one, below 1/2 where the other data look likelier, as they do
in Nalisnick et al., 2019. Images are dequantised once. Log-determinants are
exact up to 64 dimensions, else means of 16 draws or more (--num_repeats); the
report says how large the deviation of that mean is per image, and against the
spread of the scores (noise_share). The scores do not depend on --batch_size.
--output then gets log_prob, log_prob_deviation, class_log_prob and label [n],
and the same of the others as against_log_prob and so on.

A readable table goes to stderr; the last line of stdout is one JSON object:
bits_per_dim, bits_per_dim_stderr (across examples), estimator_stderr (across
independent repeats of noise, probes and numbers of terms), num_examples,
reconstruction_error_max (in [0, 1] units), lipschitz_bound_max (certificate);
of hybrid models accuracy and accuracy_stderr (across examples), too.
With noise channels bits_per_dim is an upper bound, and bits_per_dim_is says so.
A number that is not finite is null there.
"""

import dataclasses
import os
from typing import Any

import numpy as np

from tf_resflow import conversion
from tf_resflow import evaluation
from tf_resflow.commands import options as options_lib
from tf_resflow.commands import out_of_distribution
from tf_resflow.configuration import fields

# Unless the estimator wants fewer.
_BATCH_SIZE = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(
    options_lib.Run, options_lib.Split, out_of_distribution.Against,
    options_lib.Estimation, options_lib.Randomness, options_lib.Certification,
    options_lib.OutputFile, options_lib.Devices):
  """What is evaluated, and how often."""

  suffixes = ('.npz',)

  batch_size: int | None = fields.field(
      None, help=f'Examples per batch and device: {_BATCH_SIZE} by default, '
      'fewer for large images with --estimator=exact.', minimum=1)
  dtype: str | None = fields.field(
      None, help='Precision: by default float64 with --inputs, else float32.',
      choices=('float32', 'float64'))
  output: str | None = fields.field(
      None, help='Write the results per example to this .npz file, see above.')
  overwrite: bool = fields.field(
      False, help='Replace the files of --output and --picture if they exist.')
  inputs: str | None = fields.field(
      None, help='An .npz file with dequantised images x [n, H, W, C] in '
      '[0, 1) to evaluate in place of a split.')
  compare: str | None = fields.field(
      None, help='Per-example bits/dim of other models on the same split, an '
      '.npz file of bin/baselines --output: prints paired differences.')
  num_examples: int | None = fields.field(
      None, help='Only the first this many; a standard error needs 2.',
      minimum=2)
  num_reconstructions: int | None = fields.field(
      None, help='Invert only the first this many.', minimum=1)
  num_repeats: int = fields.field(
      8, help='Independent repeats of the estimate; 16 with --against, or '
      'more.', minimum=8)
  num_probes: int = fields.field(
      1, help='Independent draws of probe and number of terms per example and '
      'repeat, which are averaged: k of them cost k times as much, and divide '
      'their share of estimator_stderr by sqrt(k), not that of the '
      'dequantisation noise.', minimum=1)

  def check(self) -> None:
    super().check()
    self.require(self.inputs != '', 'inputs', 'the path of an .npz file')
    self.refuse(
        self.inputs is not None, ('split', 'compare', 'num_examples',
        'num_reconstructions', 'data_dir'), 'with --inputs',
        'It goes with a split.')
    self.refuse(
        self.against is not None, ('inputs', 'compare', 'num_reconstructions',
        'certify', 'num_probes'), 'with --against',
        'It has scores only, and draws are averaged by --num_repeats.')
    if self.against is not None:
      self.check_picture(self.workdir)
    for name in ('inputs', 'compare', 'against'):
      source = getattr(self, name)
      is_same = source and self.output and os.path.exists(source) and (
          os.path.exists(self.output)) and os.path.samefile(source, self.output)
      self.require(not is_same, 'output', f'another file than that of --{name}',
                   'It would be replaced.')

  def refuse_draws(self, condition: bool, where: str) -> None:
    """Refuses numbers of draws where nothing is drawn, see `refuse`."""
    names = ('num_probes', 'num_repeats') if self.inputs else ('num_probes',)
    self.refuse(condition, names, where, 'It goes with estimates.')


def main(options: Options) -> None:
  """Evaluates, writes the output, and reports."""
  if options.against is not None:
    run = options.open(options.dtype or 'float32', options.strategy)
    out_of_distribution.main(options, run)
    return
  options.refuse_draws(
      not options.make_estimator().is_random,
      f'with --estimator={options.estimator}')
  run = options.open(
      options.dtype or ('float64' if options.inputs else 'float32'),
      options.strategy)
  options.refuse_draws(not run.model.is_random, options_lib.EXACT)
  estimator = options.estimator_for(run)
  fitting = evaluation.fitting_batch_size(run.model, estimator, _BATCH_SIZE)
  settings = {
      'estimator': estimator, 'strategy': run.strategy, 'seed': options.seed,
      'batch_size': options.batch_size or fitting,
      'num_repeats': options.num_repeats, 'num_probes': options.num_probes,
      'verbose': 1}
  evaluate = _evaluate_split if options.inputs is None else _evaluate_inputs
  report, arrays, bounds = evaluate(options, run, settings)
  if options.output is not None:
    np.savez(options.output, **arrays)
  report = {
      'step': run.step, 'num_devices': run.strategy.num_replicas_in_sync,
      'estimator': estimator.spec(), 'dtype': run.model.compute_dtype, **report}
  # The differences stand above the table, as sentences.
  options_lib.print_report(report, evaluation.format_table(
      {k: v for k, v in report.items() if k != 'paired_differences'}, bounds))
  num_failed = report['inverse_num_not_converged']
  if num_failed:
    options_lib.note(
        f'note: {num_failed} inverses of a block did not converge; '
        'reconstruction_error_max counts them.')


def _evaluate_inputs(options: Options, run: options_lib.OpenedRun,
                     settings: dict[str, Any]):
  """Evaluates the images of --inputs."""
  x = evaluation.read_inputs(options.inputs, run.model.event_shape)
  results = evaluation.evaluate_inputs(run.model, x, **settings)
  report, bounds = evaluation.report_inputs(
      run.model, x, results, batch_size=settings['batch_size'],
      certify=options.should_certify(run.config),
      num_probes=options.num_probes, strategy=run.strategy, verbose=1)
  is_converted = conversion.is_converted(options.workdir)
  if is_converted:
    results['z'] = conversion.to_channels_first(
        run.model, results['z']).numpy()
  order = 'channels_first' if is_converted else 'channels_last'
  return {'inputs': options.inputs, 'latent_order': order, **report
          }, results, bounds


def _evaluate_split(options: Options, run: options_lib.OpenedRun,
                    settings: dict[str, Any]):
  """Evaluates a part of the data set."""
  split = options.load_split(run)
  options.check_count('num_examples', split.num_examples)
  options.check_count('num_reconstructions', split.num_examples)
  others = evaluation.read_bits(
      options.compare, options.num_examples or split.num_examples,
      {'dataset': run.config.data.dataset, 'split': options.split,
       'num_levels': split.num_levels, 'image_shape': split.image_shape}
  ) if options.compare else {}
  report, bits, bounds = evaluation.evaluate(
      run.model, split, num_examples=options.num_examples,
      num_reconstructions=options.num_reconstructions,
      certify=options.should_certify(run.config), **settings)
  report = {'split': options.split, **report}
  differences = evaluation.paired_differences(bits.mean(axis=0), others)
  for name, difference in differences.items():
    options_lib.note(f'flow (a) against {name} (b): {difference}')
  if others:
    report['paired_differences'] = {
        name: {'mean': d.mean, 'stderr': d.stderr}
        for name, d in differences.items()}
  arrays = evaluation.results_of_split(
      run.model, split, bits, batch_size=settings['batch_size'],
      seed=options.seed, strategy=run.strategy) if options.output else {}
  return report, arrays, bounds
