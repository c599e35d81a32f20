"""Evaluates a checkpoint of a run on its data set or given examples.

  tf_resflow evaluate --workdir=runs/digits
  tf_resflow evaluate --workdir=runs/digits --checkpoint=best
  tf_resflow evaluate --workdir=runs/digits --estimator=roulette:safe,exact=20
  tf_resflow baselines --dataset=digits --output=bits.npz
  tf_resflow evaluate --workdir=runs/digits --compare=bits.npz
  tf_resflow evaluate --workdir=runs/digits --inputs=x.npz --output=y.npz
  tf_resflow evaluate --workdir=runs/wine --inputs=new.csv --output=scores.csv
  tf_resflow evaluate --workdir=runs/cifar10 --ood_dataset=svhn_cropped

--inputs reads an .npz file with dequantised images x [n, H, W, C] in [0, 1), or
vectors x [n, D], or a table (.csv, .tsv, .txt, .parquet, .feather, .xlsx) with
the columns of that of the run. --output then gets log_prob, log_prob_stderr
(its standard error) and log_det [n], in nats, bits_per_dim [n], z [n, D] and
log_det_repeats [repeats, n], with noise channels also log_prob_repeats. z is
flattened channels-last (channels-first after convert).

A flow p(x|c) is evaluated given the condition of every example; --inputs then
needs an array condition, or those columns.

Of vectors, --output also gets in_training [n], 1 for rows that the run was
trained on, and p_value [n] = (1 + k) / (m + 1), where k of the m rows of the
test part have at most the log_prob of the row: low values mean outliers
(docs/evaluation.md). A .csv file has log_prob, these two, and log_prob_stderr
where log-determinants are estimated. If the run has --missing=drop, rows with
an empty cell stay, without scores.

Without --inputs, --output gets bits_per_dim [repeats, n], log_prob and
log_prob_stderr [n], means over the repeats and so over the noise of
dequantisation, and label [n]; hybrid models add class_log_prob [n, K],
--classify adds class_log_density [n, K] = log p(x|y).

--ood_dataset scores images by log p(x): AUROC is the probability that an image
of the run (in) scores higher than one of the other data (out); noise_share is
the standard error of scores relative to their spread
(docs/out_of_distribution.md). --output then gets log_prob, log_prob_stderr,
class_log_prob and label [n], and the same for the other data, prefixed ood_.

A readable table goes to stderr; the last line of stdout is one JSON object:
bits_per_dim of images or nats of vectors, with _stderr (across examples) and
estimator_stderr (across repeats); bits_per_dim_is or nats_is, if they are
bounds; reconstruction_error_max (of pixels in [0, 1], or in standard deviations
of columns); lipschitz_bound_max (certificate). Non-finite numbers are null.
"""

import dataclasses
import os
import re
from typing import Any

import numpy as np

from tf_resflow import conversion
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import training
from tf_resflow.columns import cells
from tf_resflow.columns import column_types
from tf_resflow.columns import table_files
from tf_resflow.commands import conditions
from tf_resflow.commands import options as options_lib
from tf_resflow.commands import row_scores
from tf_resflow.specs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(
    options_lib.Run, options_lib.Split, options_lib.Estimation,
    options_lib.Randomness, options_lib.Certification, options_lib.OutputFile,
    options_lib.Devices):
  """What is evaluated, and how often."""

  suffixes = ('.npz', '.csv')

  batch_size: int | None = fields.field(
      None, help='Examples per batch and device: by default 128 images, more '
      'vectors, fewer large images with --estimator=exact.', minimum=1)
  dtype: str | None = fields.field(
      None, help='Precision: by default float64 with --inputs, else float32.',
      choices=('float32', 'float64'))
  output: str | None = fields.field(
      None, help='Write the results per example to this .npz file, see above; '
      'with --inputs of vectors also to a .csv file.')
  overwrite: bool = fields.field(
      False, help='Replace the files of --output and --picture if they exist.')
  inputs: str | None = fields.field(
      None, help='The .npz file or table of examples to evaluate in place of a '
      'split, see above.')
  top: int | None = fields.field(
      None, help='With --inputs of vectors: print this many rows of the lowest '
      'log p(x), by their places in the table.', minimum=1)
  compare: str | None = fields.field(
      None, help='An .npz file of tf_resflow baselines --output: print paired '
      'differences to its models.')
  ood_dataset: str | None = fields.field(
      None, help='Out-of-distribution data to detect by log p(x), of the same '
      'shape: the name of a data set, for its test part, or an .npz file with '
      'an array x (or image) [n, H, W, C], integers from 0 to num_levels - 1 '
      'or dequantised floats in [0, 1), and optionally label [n]. Prints AUROC '
      'and draws histograms.')
  picture: str | None = fields.field(
      None, help='With --ood_dataset: .png or .svg file of the histograms, by '
      'default ood_NAME.png in the workdir.')
  num_examples: int | None = fields.field(
      None, help='Use only the first N examples.', minimum=2)
  num_reconstructions: int | None = fields.field(
      None, help='Invert only the first N examples.', minimum=1)
  num_repeats: int = fields.field(
      8, help='Repeats of the estimate, for its standard error; 16 or more '
      'with --ood_dataset.', minimum=8)
  num_probes: int = fields.field(
      1, help='Estimates averaged per example and repeat; raise it if '
      'estimator_stderr is too large.', minimum=1)
  classify: bool | None = fields.field(
      None, help="Classify by Bayes' rule from log p(x|y), if the condition is "
      'the label: one evaluation per label, 16 if log-determinants are '
      'estimated. By default if these are exact, with up to 32 labels.')

  def check(self) -> None:
    super().check()
    self.require(
        self.inputs is not None or not (self.output or '').endswith('.csv'),
        'output', 'an .npz file without --inputs')
    self.refuse(
        self.inputs is not None, ('split', 'compare', 'num_examples',
        'num_reconstructions', 'data_dir', 'classify'), 'with --inputs',
        'It goes with a split.')
    self.refuse(self.inputs is None, ('top',), 'without --inputs',
                'It shows rows of that file.')
    self.refuse(
        self.ood_dataset is not None, (
            'inputs', 'compare', 'num_reconstructions', 'certify', 'num_probes',
            'classify'), 'with --ood_dataset',
        'It has scores only, and draws are averaged by --num_repeats.')
    self.refuse(self.ood_dataset is None, ('picture',), 'without --ood_dataset',
                'It shows the scores of both data sets.')
    # A workdir that there is not has an error of its own.
    if self.ood_dataset and (self.picture or os.path.isdir(self.workdir)):
      self.check_file('picture', self.picture_path, ('.png', '.svg'))
    for name in ('inputs', 'compare', 'ood_dataset'):
      source = getattr(self, name)
      is_same = source and self.output and os.path.exists(source) and (
          os.path.exists(self.output)) and os.path.samefile(source, self.output)
      self.require(not is_same, 'output', f'another file than that of --{name}',
                   'It would be replaced.')

  def check_run(self) -> None:
    self.require(
        self.is_of_vectors or not (self.output or '').endswith('.csv'),
        'output', 'an .npz file for images')
    self.refuse(
        self.is_of_vectors, ('ood_dataset',), 'with vectors',
        'Score rows with --inputs and --output instead.')
    self.refuse(not self.is_of_vectors, ('top',), 'with images',
                'It shows rows of vectors.')
    self.refuse(
        getattr(self.config.model, 'is_conditional', False), ('ood_dataset',),
        'with a flow p(x|c)', 'Other data have no such condition.')
    schema = getattr(self.config.model, 'schema', None)
    if schema and schema.is_named and table_files.is_table(self.inputs):
      schema.read(self.inputs, missing=self.missing)

  @property
  def missing(self) -> str:
    """What becomes of rows of --inputs with empty cells."""
    data = self.config.data
    # A data frame has the setting in its data set, which need not be here.
    is_strict = data.missing == 'error' and data.dataset.startswith('table:')
    return 'error' if is_strict else 'nan'

  @property
  def is_ood_file(self) -> bool:
    """Whether the other data are a file of images, not a data set."""
    return self.ood_dataset.endswith('.npz') and not re.match(
        '[a-z0-9]+:', self.ood_dataset)

  @property
  def picture_path(self) -> str:
    """Where the histograms go."""
    name = self.ood_dataset
    if self.is_ood_file:
      name, _ = os.path.splitext(os.path.basename(name))
    return self.picture or os.path.join(
        self.workdir, f'ood_{re.sub("[^A-Za-z0-9_.-]", "_", name)}.png')


def main(options: Options) -> None:
  """Evaluates, writes the output, and reports."""
  run = options.open(
      options.dtype or ('float64' if options.inputs else 'float32'),
      options.strategy)
  if options.ood_dataset is not None:
    _evaluate_ood(options, run)
    return
  estimator = options.estimator_for(run, dequantizes=options.inputs is None)
  options.refuse(
      not estimator.is_random,
      ('num_probes', 'num_repeats') if options.inputs else ('num_probes',),
      f'with --estimator={estimator.spec()}' if run.model.is_random else
      options_lib.EXACT, 'It goes with estimates.')
  settings = evaluation.EvaluationSettings(
      batch_size=options.batch_size, num_repeats=options.num_repeats,
      num_probes=options.num_probes, seed=options.seed, estimator=estimator,
      strategy=run.strategy, verbose=1)
  evaluate = _evaluate_split if options.inputs is None else _evaluate_inputs
  report, arrays, bounds = evaluate(options, run, settings)
  if options.output is not None:
    _write(options, run, arrays)
  report = {
      'step': run.step, 'num_devices': run.strategy.num_replicas_in_sync,
      'estimator': estimator.spec(), 'dtype': run.model.compute_dtype, **report}
  options_lib.print_report(report, evaluation.format_table(
      report, bounds, {run.model.unit: run.model.unit_note}))
  num_failed = report['inverse_num_not_converged']
  if num_failed:
    options_lib.note(
        f'note: {num_failed} inverses of a block did not converge; '
        'reconstruction_error_max counts them.')


def _write(options: Options, run: options_lib.OpenedRun,
           arrays: dict[str, np.ndarray]) -> None:
  if not options.output.endswith('.csv'):
    np.savez(options.output, **arrays)
    return
  scores = {name: arrays[name] for name in row_scores.columns(arrays)}
  frame = arrays['frame']
  if frame is None:
    frame = run.model.schema.to_frame(arrays['x'], arrays.get('condition'))
  evaluation.example_files.append_columns(frame, options.output, scores)


def _evaluate_inputs(options: Options, run: options_lib.OpenedRun,
                     settings: Any):
  rows = evaluation.example_files.read_rows(
      options.inputs, run.model, missing=options.missing)
  complete, index = rows.complete(), rows.index
  x, condition = complete.x, complete.condition
  needs_marks = options.is_of_vectors and (options.output or options.top)
  # Before what takes long, because it may be damaged.
  known = training.train_rows.read(options.workdir) if needs_marks else None
  # As the flow was trained and is served; float64 is for what is computed.
  results = evaluation.evaluate_inputs(
      run.model, column_types.rounded(x) if options.is_of_vectors else x,
      condition=condition, settings=settings)
  report, bounds = evaluation.report.report_inputs(
      run.model, x, results, settings=settings,
      certify=options.should_certify(run.config), condition=condition,
      index=complete.index)
  is_converted = conversion.converter.is_converted(options.workdir)
  if is_converted:
    results['z'] = conversion.to_channels_first(
        run.model, results['z']).numpy()
  order = 'channels_first' if is_converted else 'channels_last'
  if options.is_of_vectors:
    results['x'] = x
    if needs_marks:
      results |= row_scores.marks(
          known, run, x, condition, results['log_prob'], settings)
      report |= row_scores.held_out(results, run.model.unit)
  if condition is not None:
    results['condition'] = condition
  num_gaps = len(rows) - len(complete)
  if num_gaps:
    report['num_with_empty_cells'] = num_gaps
    options_lib.note(
        f'note: no score of {num_gaps} of {len(rows)} rows: a cell is empty '
        f'{cells.describe_rows(index, ~rows.is_complete)}. Fill these cells, '
        'or train without their columns.')
    results = {name: rows.spread(
        values, -1 if name.endswith('_repeats') else 0)
               for name, values in results.items()}
  if options.top:
    options_lib.note(row_scores.lowest(
        results, options.top, None if index is None else
        rows.frame.iloc[:, :3]))
  if options.output and options.output.endswith('.csv'):
    results['frame'] = rows.frame
  return {'inputs': options.inputs, 'latent_order': order, **report
          }, results, bounds


def _evaluate_split(options: Options, run: options_lib.OpenedRun,
                    settings: Any):
  options.check_suits(
      not options.classify or conditions.has_labels(run.model), 'classify',
      'requires a flow whose condition is the label',
      'Train with --condition=label.')
  split = options.open_split(run, 'num_examples', 'num_reconstructions')
  others = evaluation.example_files.read_bits(
      options.compare, options.num_examples or split.num_examples,
      {'dataset': run.config.data.dataset, 'split': options.split,
       'num_levels': split.num_levels, 'image_shape': split.event_shape}
  ) if options.compare else {}
  report, nll, bounds = evaluation.evaluate(
      run.model, split, num_examples=options.num_examples,
      num_reconstructions=options.num_reconstructions,
      certify=options.should_certify(run.config), settings=settings)
  report = {'split': options.split, **report}
  scores = conditions.class_scores(
      run, split, options.classify, options.data_dir, seed=options.seed,
      num_examples=options.num_examples)
  if scores is not None:
    report |= scores.report()
  for name, other in others.items():
    difference = evaluation.paired_difference(nll.mean(axis=0), other)
    options_lib.note(f'flow (a) against {name} (b): {difference}')
    report.setdefault('paired_differences', {})[name] = {
        'mean': difference.mean, 'stderr': difference.stderr}
  arrays = evaluation.report.results_of_split(
      run.model, split, nll, settings=settings) if options.output else {}
  if scores is not None:
    arrays |= scores.arrays()
  return report, arrays, bounds


def _evaluate_ood(options: Options, run: options_lib.OpenedRun) -> None:
  """Scores both data, writes pictures and files, and reports."""
  # Loads TensorFlow.
  from tf_resflow.experiments import out_of_distribution

  rule = evaluation.scoring_rule(
      run.model,
      options.make_estimator(),
      options.num_repeats if 'num_repeats' in options.given else None)
  name, where = options.ood_dataset, f'the test part of {options.ood_dataset}'
  if options.is_ood_file:
    name, where = os.path.basename(name), name
  names = f'{run.config.data.dataset}, {options.split}', name
  others = _other_split(options, run)  # First, because they may not suit.
  options.check_count('num_examples', others.num_examples, where)
  report = {
      'step': run.step, 'num_devices': run.strategy.num_replicas_in_sync,
      'split': options.split, 'ood_dataset': options.ood_dataset,
      **out_of_distribution.main(
          run.model, options.open_split(run, 'num_examples'), others, rule,
          names=names, picture=options.picture_path, output=options.output,
          batch_size=options.batch_size, seed=options.seed,
          num_examples=options.num_examples, strategy=run.strategy, verbose=1)}
  options_lib.print_report(
      report, evaluation.format_table(report), '',
      *out_of_distribution.sentences(report, names))


def _other_split(options, run):
  if options.is_ood_file:
    return evaluation.example_files.read_images(
        options.ood_dataset, run.model, 'ood_dataset')
  model, data = run.model, run.config.data
  info = datasets.info(options.ood_dataset, 'ood_dataset')
  options.require(
      info.num_levels is not None, 'ood_dataset', 'a data set of images')
  # What has no more levels than these cannot be reduced.
  num_bits = data.num_bits if info.num_levels == 256 else 8
  info = info.changed(num_bits=num_bits)
  options.require(
      (info.event_shape, info.num_levels) == (
          model.event_shape, model.num_levels), 'ood_dataset',
      f'images {model.event_shape} of {model.num_levels} levels, as those of '
      'the run', f'These are {info.event_shape} of {info.num_levels} levels, '
      'and nothing is resized, coloured or scaled here: give an .npz file of '
      'images that suit.')
  return datasets.open_split(
      options.ood_dataset, 'test', data_dir=options.data_dir or data.data_dir,
      num_bits=num_bits)
