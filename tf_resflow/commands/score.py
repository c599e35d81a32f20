"""Scores examples of a file by their log p(x) under the flow of a run.

  tf_resflow score --workdir=runs/wine --inputs=new.csv --output=scores.csv
  tf_resflow score --workdir=runs/wine --inputs=new.csv --top=20 --explain
  tf_resflow score --workdir=runs/digits --inputs=x.npz --output=y.npz

--inputs is a table (.csv, .tsv, .txt, .parquet, .feather, .xlsx) with the
columns of that of the run, in any order, or an .npz file with dequantised
images x [n, H, W, C] in [0, 1), or vectors x [n, D]. For a flow p(x|c) it also
has the columns of the condition, or an array condition.

A .csv or .parquet file of --output has the cells of the table, with columns
appended, whose names it must not have yet: log_prob, in nats; log_prob_stderr,
its standard error, where log-determinants are estimated; in_training, 1 for
rows that the run was trained on; and p_value = (1 + k) / (m + 1), where k of
the m rows of the test part have at most the log_prob of the row: low values
mean outliers (docs/evaluation.md). Where some rows have a value between the
multiples of the step of its column, such as 2.5 among whole numbers, off_grid
is 1 for these. If the run has --missing=drop, rows with an empty cell stay,
without scores. With --fdr=0.1 new rows also have odd, 1 for those that are not
like the held-out rows, of which at most a tenth is wrong on average. With
--explain the --top rows (by default 10) also have odd_columns, the columns that
do not suit the others, and an explanation, by the densities of each column
given the others (docs/anomaly_detection.md).

Of .parquet files and text with commas 65,536 rows are in memory at a time,
unless an .npz file, --explain, --verify or --certify needs them all; the file
is read once more for --top and --output each, and rows_per_second is in the
report. A table of --output is written in parts, and appears whole, or not at
all; in .parquet the cells of text files stay text.

An .npz file of --output has these, and log_det [n], bits_per_dim or nats [n], z
[n, D] and log_det_repeats [repeats, n], with noise channels also
log_prob_repeats. z is flattened channels-last (channels-first after convert).

A readable table goes to stderr; the last line of stdout is one JSON object, as
that of tf_resflow evaluate.
"""

import dataclasses
import functools
import itertools
import time
from typing import Any

from tf_resflow import evaluation
from tf_resflow import workflow
from tf_resflow.columns import rows as rows_lib
from tf_resflow.columns import table_files
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields

# Rows of a table that are in memory at a time.
_PART_SIZE = 2**16
# Rows that are explained by default.
_NUM_EXPLAINED = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Evaluation, options_lib.Certification):
  """What is scored."""

  suffixes = ('.npz', '.csv', '.parquet')

  inputs: str = options_lib.required(
      help='The table or .npz file of examples, see above.')
  output: str | None = fields.field(
      None, help='Write the scores to this .npz file, see above, or those of '
      'vectors to a .csv or .parquet file.')
  top: int | None = fields.field(
      None, help='Print the modelled columns of this many rows of the lowest '
      'log p(x), by their places in the table.', minimum=1)
  fdr: float | None = fields.field(
      None, help='Mark rows by a column odd, so that of those marked at most '
      'this share is like the rows held out (Benjamini-Hochberg on p_value); '
      'rows that stand in the data of the run are left out.')
  explain: bool = fields.field(
      False, help='Say which columns make the --top rows odd, by default 10.')
  verify: bool = fields.field(
      False, help='Also invert the examples, and compute Lipschitz bounds, as '
      'tf_resflow evaluate does; --certify asks for it, too.')
  dtype: str = fields.changed(options_lib.Devices, 'dtype', 'float64')

  def check(self) -> None:
    super().check()
    if self.config.model.is_image:
      self.refuse(True, ('top', 'fdr', 'explain'), 'cannot be used with images',
                  'It shows rows of vectors.')
      self.require(not self.shows_rows, 'output', 'an .npz file for images')
    _ = self.rows  # Or an error.

  @functools.cached_property
  def rows(self) -> Any:
    """The file, of which a part is read; or the rows of a table, all at once.
    """
    model = self.config.model
    schema = getattr(model, 'schema', None)
    if model.is_image or not table_files.is_table(self.inputs):
      evaluation.example_files.read_arrays(self.inputs, 'inputs', ())
    elif schema and schema.is_named:
      first, *_ = itertools.islice(rows_lib.read_parts(
          schema, self.inputs, missing=self.config.data.missing_in_rows,
          appended=rows_lib.appended(self.fdr, self.explain)
          if self.shows_rows else (), size=self.part_size), 2)
      return self.inputs if self.part_size else first
    return self.inputs

  @property
  def part_size(self) -> int | None:
    """Rows of a table to read at a time; None where all are needed at once."""
    return _PART_SIZE if table_files.is_table(self.inputs) and not (
        self.explain or self.verify or self.certify
        or (self.output or '').endswith('.npz')) else None

  @property
  def shows_rows(self) -> bool:
    """Whether rows are shown with their scores."""
    return bool(self.top or self.explain or table_files.is_table(self.output))


def main(options: Options) -> None:
  """Scores, writes the output, and reports."""
  flow = options.open(options.dtype, options.strategy)
  start = time.monotonic()
  results = workflow.score(
      flow, options.rows, part_size=options.part_size,
      certify=options.certify,
      verify=options.verify or bool(options.certify),
      diagnose=options.shows_rows or options.fdr is not None or bool(
          options.output), fdr=options.fdr,
      explain=(options.top or _NUM_EXPLAINED) * options.explain,
      **options.settings(flow, dequantizes=False, of_estimates=(
          'num_probes', 'num_repeats'))
  ).extended(first={'inputs': options.inputs})
  if options.top:
    options_lib.note(results.lowest(options.top, flow.schema.names))
  if options.explain:
    frame = results.frame().sort_values('log_prob', kind='stable')
    options_lib.note('\n'.join(
        f'{frame.index.name} {row}: {text}'
        for row, text in frame['explanation'].items() if text))
  options.print(results, start if options.part_size else None)
