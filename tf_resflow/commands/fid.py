"""Compares samples of a flow with images: FID and kernel distance (KID).

  tf_resflow fid --workdir=runs/cifar10 --inception=inception.keras

Both distances compare features that a network computes from images. The
numbers depend on its weights, so you choose the file; nothing is downloaded:

- For numbers beside published ones: the Inception network of TF-GAN
  (tensorflow/tfgan/eval/inception of TensorFlow Hub), downloaded and unpacked:
  --inception=FOLDER --feature_name=pool_3.
- Or that of Keras; numbers compare only with those of the same file:
    keras.applications.InceptionV3(include_top=False, pooling='avg',
        input_shape=(299, 299, 3)).save('inception.keras')
- Any network that maps a batch of images to a vector for each, as .keras, .h5
  or SavedModel. For digits, one trained on digits.

Images of the split and samples are treated alike: as integers, scaled to
0..255, then to --input_range, resized (bilinear, half-pixel centres,
antialiased) to the input size of the network, grey images repeated to its
channels. FID falls with the number of samples, so compare at equal numbers
only. KID is unbiased for any number, and has a standard error, over disjoint
random subsets. A table goes to stderr; the last line of stdout is one JSON
object.
"""

import dataclasses

from tf_resflow import evaluation
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(
    options_lib.StoredRun, options_lib.Split, options_lib.Randomness,
    options_lib.Inversion, options_lib.Devices):
  """The comparison."""

  split: str = fields.changed(options_lib.Split, 'split', 'train')
  inception: str = options_lib.required(
      help='The feature network: a .keras or .h5 file, or the folder of a '
      'SavedModel; the text of --help says how to get one.')
  feature_name: str | None = fields.field(
      None, help='Name of the output with the features, such as pool_3, if '
      'the network has several.')
  input_size: int | None = fields.field(
      None, help='Height and width that images are resized to, if the '
      'network accepts any size: 299 by default.', minimum=1)
  input_range: tuple[float, ...] = fields.field(
      (-1.0, 1.0), help='Values of black and white that the network expects.')
  num_images: int | None = fields.field(
      None, help='Use only the first N images.', minimum=1)
  num_samples: int | None = fields.field(
      None, help='Samples to draw: by default as many as images.', minimum=1)
  temperature: float = fields.field(
      1.0, help='Standard deviation of the latents.', minimum=0)


def main(options: Options) -> None:
  """Draws, compares, and reports."""
  extractor = evaluation.load_feature_extractor(
      options.inception, input_size=options.input_size,
      input_range=options.input_range, feature_name=options.feature_name)
  flow = options.open(options.dtype, options.strategy)
  options.require(flow.is_image, 'workdir',
                  'a run on images', 'Their features are compared.')
  split = flow.run.open(
      options.split, options.data_dir, num_images=options.num_images)
  report = evaluation.compare_samples(
      flow, split, extractor, num_images=options.num_images,
      num_samples=options.num_samples, seed=options.seed,
      temperature=options.temperature, solver=options.make_solver(),
      batch_size=options.batch_size, strategy=flow.run.strategy, verbose=1)
  report = {
      'step': flow.run.step, 'dtype': options.dtype, 'split': options.split,
      'inception': options.inception,
      'feature_name': options.feature_name or 'the only output', **report}
  options_lib.print_report(report)
  smallest = min(report['num_images'], report['num_samples'])
  if smallest <= report['num_features']:
    options_lib.note(
        f'note: {smallest} images or samples span no more than {smallest - 1} '
        f'of {report["num_features"]} dimensions of the features: a covariance '
        'is singular and FID is far too large. Use the kernel distance, or '
        'more images.')
