"""Pages are one file that loads nothing, whatever columns are called."""

import base64
import html.parser
import io

import numpy as np
import pandas as pd
from PIL import Image
import pytest

from tests import testing
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.datasets import user_files

_VOID = {'meta', 'img', 'br'}


class _Page(html.parser.HTMLParser):
  """What a browser makes of a page: elements, and texts by their element."""

  def __init__(self, path):
    super().__init__()
    self.elements, self.texts, self._open = [], [], []
    self.size = path.stat().st_size
    self.feed(path.read_text())
    assert not self._open

  def handle_starttag(self, tag, attrs):
    self.elements.append((tag, dict(attrs)))
    if tag not in _VOID:
      self._open.append(tag)

  def handle_endtag(self, tag):
    assert self._open.pop() == tag

  def handle_data(self, data):
    if data.strip():
      self.texts.append((self._open[-1] if self._open else '', data))

  def all(self, tag):
    return [attrs for name, attrs in self.elements if name == tag]

  def text(self, *tags):
    return '\n'.join(text for tag, text in self.texts
                     if not tags or tag in tags)


def _saved(flow, path, **options):
  """Saves a page, checks that it is one file, and returns it."""
  workflow.save_page(flow, path, **options)
  page = _Page(path)
  assert page.size < 5e6
  assert {tag for tag, _ in page.elements} <= {
      'html', 'head', 'meta', 'title', 'style', 'body', 'h1', 'h2', 'section',
      'p', 'pre', 'figure', 'div', 'img', 'figcaption', 'table', 'thead',
      'tbody', 'tr', 'th', 'td'}
  for tag, attrs in page.elements:
    assert {*attrs} <= {'class', 'alt', 'src', 'name', 'content', 'charset',
                        'lang', 'http-equiv', 'tabindex', 'style'}, (tag, attrs)
  policies = [attrs['content'] for attrs in page.all('meta')
              if attrs.get('http-equiv') == 'Content-Security-Policy']
  assert policies == [
      "default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
  style = page.text('style')
  assert 'url(' not in style and '@import' not in style
  for attrs in page.all('img'):
    assert len(attrs['alt']) > 20
    kind, data = attrs['src'].split(',')
    assert kind == 'data:image/png;base64'
    assert Image.open(io.BytesIO(base64.b64decode(data))).size[0] > 100
  return page


@pytest.mark.slow
def test_a_table_with_hostile_names(tmp_path):
  rng = np.random.default_rng(0)
  names = ('<img src=x onerror=alert(1)>', '$\\frac{', 'n' * 300,
           '年齢 возраст', 'a&amp;"\'</td></table><script>')
  frame = pd.DataFrame({name: rng.normal(i, size=400) + (
      np.arange(400) % 2 if i == 1 else 0) for i, name in enumerate(names)})
  flow = workflow.fit(
      frame, tmp_path / 'run', num_steps=2, num_blocks=1, hidden_units=(8,),
      refit=False)
  page = _saved(flow, tmp_path / 'page.html')
  assert page.text('h2').split('\n') == [
      'Result', 'Columns', 'Odd rows', 'Samples beside data',
      'Inverses and bounds', 'Repeat the run']
  assert len(page.all('img')) == 4
  for text in (flow.run.summary, *names, 'Classifier: AUROC', 'Copies: ',
               'Certified: no block', "tf_resflow.fit(DATA, 'NEW'",
               '--hidden_units=8', 'Scores: log p of a training row'):
    assert text in page.text(), text
  assert 'Left out' not in page.text()
  # Moments of the table are those of the test part, of which no row is told.
  test = flow.run.open('test').arrays['x'].numpy()
  cells = page.text('td').split('\n')
  for moment in test.mean(0), test.std(0, ddof=1):
    assert {f'{value:.4g}' for value in moment} <= {*cells}
  assert not any(f'{value:.4f}' in page.text() for value in test.ravel())
  # The odd ones are named by their place in the frame, and shown if asked for.
  scores = flow.score_samples(frame)
  part = user_files.held_out(400)['test']
  least = part[np.argmin(scores[part])]
  shown = _saved(flow, tmp_path / 'rows.html', rows=True)
  for odd in page, shown:
    start = odd.texts.index(('th', str(least)), odd.texts.index(
        ('th', 'standard deviations'))) - 1
    assert odd.texts[start] == (  # It is the first row.
        'th', 'standard deviations' if odd is page else names[-1])
    assert float(odd.texts[start + 2][1]) == float(f'{scores[least]:.4g}')
    assert odd.texts[start + 3][1] in names
  cells = [f'{value:.4g}' for value in frame.iloc[least]]
  assert [text for _, text in shown.texts[start + 5:start + 10]] == cells
  assert [odd.text('p').count('of the samples of the flow')
          for odd in (page, shown)] == [0, 3]

  loaded = _saved(workflow.load(tmp_path / 'run'), tmp_path / 'loaded.html')
  # The data frame is gone; what the run has stored is not.
  assert loaded.text('p').count('Left out: dataset=table is not known') == 3
  assert flow.run.summary in loaded.text() and len(loaded.all('img')) == 2


@pytest.mark.slow
def test_points(tmp_path):
  config = configuration.make_config(
      dataset='2d/moons', num_blocks=1, hidden_units=(8,))
  training.workdir.create_workdir(
      str(tmp_path / 'run'), config, config.model.build())
  page = _saved(workflow.load(tmp_path / 'run'), tmp_path / 'page.html')
  assert page.text('h2').split('\n')[1:3] == ['Density', 'Columns']
  for text in ('The flow was not evaluated.', 'Held-out points, the density',
               'tf_resflow.load(', f'--flagfile={tmp_path}/run/run.flags'):
    assert text in page.text(), text
  # An untrained flow, from which all trees can tell the moons.
  assert float(page.text('p').split('AUROC ')[1].split()[0]) > 0.7


@pytest.mark.slow
def test_images_and_conditions(
    digits_workdir, labelled_workdir, table_workdir, tmp_path):
  digits, labelled, table = (
      _saved(workflow.load(workdir), tmp_path / f'{i}.html')
      for i, workdir in enumerate(
          (digits_workdir, labelled_workdir, table_workdir)))
  for page in digits, labelled:
    assert page.text('h2').split('\n')[1:3] == ['Images', 'Samples beside data']
    assert 'its reconstruction from latents: 0 are' in page.text()
    assert 'of 64 samples have a training example nearer' in page.text()
    assert 'Left out' not in page.text()
  assert 'those of a label in a column' in labelled.text()
  assert 'those of a label' not in digits.text()
  assert table.text('h2').split('\n')[1:4] == [
      'Columns', 'Odd rows', 'Calibration']
  assert 'Ranks of 20 held-out rows among 99 draws' in table.text()
  assert 'Left out' not in table.text()


def test_a_flow_without_a_run(tmp_path):
  flow = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
  testing.check_refusals(
      lambda flow: workflow.save_page(flow, tmp_path / 'page.html'),
      [(flow, 'flow=vector_flow has no run, of which a page is made')])
