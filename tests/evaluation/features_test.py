"""Feature networks from files, and how images are fed to them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import evaluation
from tf_resflow.evaluation import features

_IMAGES = np.random.default_rng(0).integers(
    0, 256, [5, 8, 8, 1], endpoint=False).astype(np.uint8)


def _network():
  return keras.Sequential([
      keras.Input((12, 10, 3)),
      keras.layers.Conv2D(
          4, 3, activation='relu',
          kernel_initializer=keras.initializers.HeNormal(seed=1)),
      keras.layers.GlobalAveragePooling2D()])


def _fed(images, height, width, channels, low=-1.0, high=1.0):
  """Returns the expected input of the network, resized by TensorFlow."""
  x = low + (high - low) * images.astype(np.float64) / 255.0
  x = tf.image.resize(x, [height, width], antialias=True).numpy()
  return np.repeat(x, channels, axis=-1).astype(np.float32)


class _Named(tf.Module):
  """As published feature networks are: several outputs, called directly."""

  @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
  def __call__(self, x):
    mean = tf.reduce_mean(x, axis=[1, 2], keepdims=True)
    return {'logits': mean[:, 0, 0, :2], 'pool_3': mean * tf.range(1.0, 4.0)}


class _Unsigned(tf.Module):
  """Saved as traced, without a signature."""

  @tf.function
  def __call__(self, x, training=False):
    return tf.reduce_mean(x, axis=[1, 2]) * (2.0 if training else 1.0)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  """A folder with networks in all formats, and the one in most of them."""
  folder = tmp_path_factory.mktemp('features')
  network = _network()
  network.save(folder / 'network.keras')
  network.export(folder / 'exported', verbose=False)
  tf.saved_model.save(_Named(), str(folder / 'named'))
  unsigned = _Unsigned()
  for training in (False, True):
    unsigned.__call__.get_concrete_function(
        tf.TensorSpec([None, None, None, 3]), training)
  tf.saved_model.save(unsigned, str(folder / 'unsigned'))
  tf.saved_model.save(tf.Module(), str(folder / 'empty'))
  return folder, network


@pytest.mark.parametrize('name', ['network.keras', 'exported'])
def test_keras_files_and_saved_models(files, name):
  folder, network = files
  extract = evaluation.load_feature_extractor(folder / name)
  assert extract.description((8, 8, 1)) == {
      'input_range': [-1.0, 1.0], 'input_size': [12, 10],
      'image_size': [8, 8], 'channels': '1 repeated to 3',
      'resize': 'bilinear, half-pixel centres, antialiased'}
  same = extract.description((12, 10, 3))
  assert (same['resize'], same['channels']) == ('none', '3')
  found = extract(_IMAGES)
  assert found.dtype == np.float32
  np.testing.assert_allclose(
      found, network(_fed(_IMAGES, 12, 10, 3)), rtol=1e-4, atol=1e-6)
  # A batch of another size, and another range of the input.
  np.testing.assert_allclose(extract(_IMAGES[:2]), found[:2], rtol=1e-5)
  other = evaluation.load_feature_extractor(
      folder / name, input_range=(0.0, 255.0))
  np.testing.assert_allclose(
      other(_IMAGES), network(_fed(_IMAGES, 12, 10, 3, 0.0, 255.0)), rtol=1e-4)
  assert np.abs(other(_IMAGES) - found).max() > 1.0


def test_large_images_are_averaged():
  """Antialiasing: without it a checkerboard becomes black or white."""
  board = 255 * (np.indices([16, 16]).sum(axis=0) % 2)
  board = board.astype(np.uint8)[np.newaxis, ..., np.newaxis]
  extract = features.FeatureExtractor(
      lambda x: tf.reshape(x, [-1, 4]), (2, 2, 1), input_range=(0.0, 1.0))
  np.testing.assert_allclose(extract(board), 0.5, atol=0.01)


def test_named_outputs_and_any_size(files):
  """Also of a SavedModel without a signature."""
  folder, _ = files
  assert not tf.saved_model.load(str(folder / 'unsigned')).signatures
  for path, name, factor in (
      ('named', 'pool_3', [1.0, 2.0, 3.0]), ('unsigned', None, 1.0)):
    extract = evaluation.load_feature_extractor(
        folder / path, input_size=8, feature_name=name)
    assert extract.num_channels == 3 and extract.input_size == (8, 8)
    np.testing.assert_allclose(
        extract(_IMAGES), factor * np.mean(
            _fed(_IMAGES, 8, 8, 3), axis=(1, 2)), rtol=1e-5, atol=1e-6)
  assert evaluation.load_feature_extractor(
      folder / 'named').input_size == (299, 299)
  for name in (None, 'pool'):
    extract = evaluation.load_feature_extractor(
        folder / 'named', input_size=8, feature_name=name)
    with pytest.raises(ValueError, match=(
        f'feature_name={name}: expected one of the outputs logits, pool_3')):
      extract(_IMAGES)


def test_files_that_are_no_network(files, tmp_path):
  folder, _ = files
  (tmp_path / 'text.keras').write_text('hello')
  (tmp_path / 'text.pb').write_text('hello')
  (tmp_path / 'folder').mkdir()
  two = [keras.Input((4, 4, 1)) for _ in range(2)]
  keras.Model(two, keras.layers.Add()(two)).save(tmp_path / 'two.keras')
  testing.check_refusals(evaluation.load_feature_extractor, [
      (path, f'inception={path}: expected {said}') for path, said in (
          (tmp_path / 'none.keras', '...It does not exist'),
          (tmp_path / 'text.keras', 'a feature network. It cannot be read'),
          (tmp_path / 'text.pb', 'a file that ends in .keras or .h5, or'),
          (tmp_path / 'folder', 'a feature network. It cannot be read'),
          (tmp_path / 'two.keras', '...inputs=...: expected one batch of ima'),
          (folder / 'empty', '...signatures=none: expected one'))])


def test_networks_that_do_not_suit():
  def extract(function, images=_IMAGES, **options):
    features.FeatureExtractor(function, (4, 4, 1), **options)(images)

  testing.check_refusals(lambda options: extract(None, **options), [
      ({'input_size': 5}, 'input_size=5 does not match the netw'),
      *(({'input_range': bad}, 'input_range=...expected two increasing number')
        for bad in ((1.0, -1.0), (0.0, 0.0), (0.0, float('nan'))))])
  testing.check_refusals(lambda case: extract(*case), [
      ((lambda x: x,), '...a tensor (...4, 4, 1): expected [B'),
      ((lambda x: tf.constant([[1.0, float('nan')]] * 5),),
       'features=NaN or infinite'),
      ((None, np.zeros([2, 4, 4, 3], np.uint8)),
       'images=3 channels: expected 1 or'),
      ((None, np.zeros([2, 4, 4, 1])), 'images=float64: expected uint8')])
