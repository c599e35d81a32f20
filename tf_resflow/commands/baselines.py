"""Fits a Gaussian and a Gaussian mixture, for a flow to beat.

  tf_resflow baselines --dataset=digits
  tf_resflow baselines --dataset=2d/checkerboard
  tf_resflow baselines --dataset=digits --num_components=20 --output=bits.npz

Fits them with full covariances to the dequantised training split, chooses raw
or logit space, and the regularisation, on a part of it, and evaluates once on
the test split. A table goes to stderr; the last line of stdout is one JSON
object.

Those of vectors are the mixtures beside which tf_resflow train sets a flow, of
1, 2, 3, 5 or 10 components: columns as they are, logarithms or columns by their
types, whichever does best in five folds; nats are in the units of the data.
"""

import dataclasses
import functools

from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow.columns import column_checks
from tf_resflow.commands import options as options_lib
from tf_resflow.datasets import data_config
from tf_resflow.specs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.OutputFile, data_config.DataSource):
  """The mixture."""

  output: str | None = fields.field(
      None, help='For images: also write the bits/dim of every example to this '
      '.npz file, for tf_resflow evaluate --compare.')
  dataset: str = fields.changed(
      data_config.DataSource, 'dataset', dataclasses.MISSING)
  num_components: int | None = fields.field(
      None, help='Components of the mixture: by default 10 for images, and '
      'chosen for vectors, see above.', minimum=1)
  num_noise_draws: int = fields.field(
      8, help='Dequantisation noises drawn for every training image; memory '
      'grows with it, so take 1 for large data sets.', minimum=1)
  seed: int = fields.field(
      0, help='Fixes the validation part, the noise and the start of EM.',
      minimum=0, maximum=2**32 - 1)

  @functools.cached_property
  def info(self) -> datasets.DatasetInfo:
    """The opened data set; mixtures hold out a part of their own."""
    return self.open().with_validation(0)

  def check(self) -> None:
    super().check()
    self.require(self.info.weights is None, 'dataset',
                 problem='has weights of rows, which mixtures do not take')
    self.refuse(
        not self.info.is_image, ('output', 'num_noise_draws'),
        f'cannot be used with --dataset={self.dataset}', 'It is for images.')


def main(options: Options) -> None:
  """Fits, evaluates, writes the output, and reports."""
  info = options.info
  train, test = [
      info.open(name, options.data_dir) for name in ('train', 'test')]
  x = test.arrays['x'].numpy()
  maps = info.schema.types if info.schema else ()
  if maps:
    x = x[column_checks.rows_with_density(x, maps, info.schema.names)]
  results = evaluation.fit_baselines(
      train.arrays['x'].numpy(), x, train.num_levels, column_maps=maps,
      num_components=options.num_components, seed=options.seed,
      num_noise_draws=options.num_noise_draws, verbose=1)
  if options.output is not None:
    evaluation.example_files.write_bits(
        options.output,
        {name: result.values for name, result in results.items()},
        {'dataset': options.dataset, 'split': 'test',
         'num_levels': test.num_levels, 'image_shape': test.event_shape})
  entries = {name: result.report() for name, result in results.items()}
  options_lib.print_report({
      'dataset': options.dataset, 'num_train': train.num_examples,
      'baselines': entries}, evaluation.results.format_table(entries))
