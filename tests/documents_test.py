"""The Python of README.md and docs/ runs, where it trains for two steps."""

import matplotlib
import numpy as np
import pytest

from tests import documents
from tests.conversion import checkpoints

_README = documents.ROOT / 'README.md'
# tests/serving_document_test.py plays the server of that page.
_SERVING = documents.ROOT / 'docs' / 'serving.md'
_PAGES = [
    page for page in documents.pages() if page not in (_README, _SERVING)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
  """Blocks write into a folder of their own, and open no window."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('MPLBACKEND', 'Agg')
  matplotlib.use('Agg')
  return tmp_path


def test_readme(folder):
  """Every block stands alone, given the checkpoint and images it speaks of."""
  made = checkpoints.write(folder / 'mnist_resflow_16-16-16.pth', 'grey')
  x = checkpoints.images(made)
  np.savez(folder / 'x.npz', x=x)
  documents.run(_README, stand_alone=True, names={'x': x}, is_short=True)


@pytest.mark.slow
@pytest.mark.parametrize('page', _PAGES, ids=lambda page: page.name)
def test_page(page):
  documents.run(page, is_short=True)


def test_the_density_of_the_tfp_page_has_thirty_lines():
  text = (documents.ROOT / 'docs/tfp.md').read_text()
  code = documents.python_blocks(text)[0].code
  assert 'log_prob' in code
  assert len([line for line in code.splitlines() if line]) <= 30


_TEXT = """One.
```python
num_steps = 500
count = sum(1 for _ in range(num_steps))
```
```bash
exit 1
```
```python
total = count + given
```
"""


def test_blocks_run_in_turn_and_shortened(folder):
  page = folder / 'page.md'
  page.write_text(_TEXT)
  assert documents.run(page, names={'given': 1})['total'] == 501
  short = documents.run(page, names={'given': 1}, is_short=True)
  assert short['total'] == 3
  with pytest.raises(NameError, match='count'):
    documents.run(page, names={'given': 1}, stand_alone=True)


def test_a_failing_block_names_its_line(folder):
  page = folder / 'page.md'
  page.write_text(_TEXT)
  with pytest.raises(NameError, match='given') as error:
    documents.run(page)
  frame = error.traceback[-1]
  assert (str(frame.path), frame.lineno + 1) == (str(page), 10)
