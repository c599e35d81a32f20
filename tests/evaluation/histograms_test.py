"""Pictures of scores show where either sample lies."""

from matplotlib import colors
from matplotlib import image as image_lib
import numpy as np

from tf_resflow.evaluation import histograms


def _columns(path, color):
  """Returns where the area of a sample is, 0 to 1 from left to right."""
  picture = image_lib.imread(path)[..., :3]
  on_white = 1.0 - 0.4 * (1.0 - np.array(colors.to_rgb(color)))
  is_color = np.all(np.abs(picture - on_white) < 0.02, axis=-1)
  # Below the legend.
  return np.nonzero(is_color[is_color.shape[0] // 2:])[1] / picture.shape[1]


def _samples(seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(-900.0, 30.0, 500), rng.normal(-600.0, 30.0, 300)


def test_samples_stand_where_they_are(tmp_path):
  low, high = _samples()
  for name, samples in (('a', (low, high)), ('b', (high, low))):
    histograms.save_histograms(
        tmp_path / f'{name}.png', ('mine', 'theirs'),
        [histograms.HistogramPanel('score', 'title', samples)])
  columns = {(name, color): _columns(tmp_path / f'{name}.png', color)
             for name in 'ab' for color in histograms.COLORS}
  first, second = histograms.COLORS
  assert all(len(found) > 100 for found in columns.values())
  assert columns['a', first].max() < columns['a', second].min()
  assert columns['b', second].max() < columns['b', first].min()


def test_panels_and_the_bar_of_a_deviation(tmp_path):
  low, high = _samples()
  widths, blacks = [], []
  for deviation in (0.0, 40.0):
    panels = [histograms.HistogramPanel('score', '', (low, high), deviation),
              histograms.HistogramPanel('other', '', (np.ones(5), np.ones(4)))]
    for number in (1, 2):
      histograms.save_histograms(
          tmp_path / 'a.png', ('mine', 'theirs'), panels[:number])
      picture = image_lib.imread(tmp_path / 'a.png')[..., :3]
      widths.append(picture.shape[1])
    # Black pixels of the upper half, by row.
    blacks.append(np.sum(
        picture[:len(picture) // 2].max(axis=-1) < 0.1, axis=1))
  assert widths == [624, 1248, 624, 1248]
  # The scores span 480 of the units of which the bar measures 80.
  assert np.any(blacks[1] > blacks[0] + 60)


def test_svg(tmp_path):
  histograms.save_histograms(
      tmp_path / 'a.svg', ('mine', 'theirs'),
      [histograms.HistogramPanel('score', 'title', _samples())])
  assert '<svg' in (tmp_path / 'a.svg').read_text()
