"""Writes a checkpoint of a run as a SavedModel for TensorFlow Serving.

  tf_resflow export --workdir=runs/digits --output=served/digits/1
  tensorflow_model_server --rest_api_port=8501 --model_name=digits \\
    --model_base_path=$PWD/served/digits

The SavedModel needs neither this package nor tensorflow-probability. Its
signatures are log_prob, sample, encode, decode and, for hybrid models,
classify; images are uint8 levels 0 to num_levels - 1, as in the data set.
docs/serving.md has the request bodies.

Log-determinants are estimated image by image, so that a reply does not depend
on its batch. To serve on GPUs, export on a machine with a GPU. The last line of
stdout is one JSON object.
"""

import dataclasses

from tf_resflow import evaluation
from tf_resflow import serving
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.StoredRun, options_lib.Estimation):
  """The SavedModel."""

  output: str = options_lib.required(
      help='Folder to create; it must be new or empty. For TensorFlow Serving '
      'end it in a version: PATH/1.')
  warmup: bool = fields.field(
      True, help='Add warm-up requests for TensorFlow Serving; --nowarmup if '
      'tensorflow-serving-api is not installed.')
  max_samples: int = fields.field(
      4096, help='Maximum number of samples per request.', minimum=1,
      maximum=2**31 - 1)

  def check(self) -> None:
    super().check()
    serving.preconditions.check_output(self.output)
    if self.warmup:
      serving.preconditions.check_is_installed()


def main(options: Options) -> None:
  """Exports, and reports."""
  options.make_estimator()  # Or an error.
  flow = options.open()
  estimator = options.estimator_for(flow).per_example()
  evaluation.default_batch_size(flow, estimator)  # Or an error.
  signatures = serving.export(
      flow, options.output, estimator, warmup=options.warmup,
      max_samples=options.max_samples)
  columns = serving.signatures.tensors_of_columns(flow)
  options_lib.print_report({
      'output': options.output, 'step': flow.run.step,
      'averaged': options.averaged, 'estimator': estimator.spec(),
      'warmup': options.warmup, 'max_samples': options.max_samples,
      'event_shape': list(flow.event_shape),
      'num_levels': flow.num_levels, 'dtype': flow.input_dtype,
      'signatures': signatures,
      **({'columns': columns} if columns else {})})
