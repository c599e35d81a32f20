"""Pages as notebooks, which were run in full, with what they print and draw.

  pip install -e '.[docs]'
  python -m docs.notebooks             # or: python -m docs.notebooks tfp

Each notebook in docs/notebooks is made of the page of its name: blocks of
Python are its cells of code, all else is text. They are run before a release;
tests run the pages with small budgets, and compare the cells with the pages.
"""

import pathlib
import re
import sys
import tempfile

DOCS = pathlib.Path(__file__).resolve().parent
FOLDER = DOCS / 'notebooks'
PAGES = ('anomaly_detection', 'synthetic_data', 'two_dimensions', 'posterior',
         'tfp', 'tfp_beside', 'own_block')

_BLOCK = re.compile(r'^```python\n(.*?)^```\n', re.DOTALL | re.MULTILINE)
_IMAGE = re.compile(r'^!\[[^\]]*\]\([^)]*\)\n', re.MULTILINE)
# To another page, or to a file beside it.
_LINK = re.compile(r'\]\((?!https?:|#)')
_TIMEOUT = 3600
_RUN = 'runs/cancer'


def cells(page: str) -> list[tuple[str, str]]:
  """Returns the kinds, 'markdown' and 'code', and the sources of cells.

  Pictures are left out, which the code draws, and links lead to the pages.
  """
  parts = _BLOCK.split((DOCS / f'{page}.md').read_text())
  found = []
  for i, part in enumerate(parts):
    text = part if i % 2 else _LINK.sub('](../', _IMAGE.sub('', part))
    if text.strip():
      found.append(('code' if i % 2 else 'markdown', text.strip()))
  return found


def _is_result(output):
  """Returns whether an output is no progress bar, and no log of TensorFlow."""
  return output.get('name') != 'stderr' and not output.get(
      'text', '').startswith('WARNING:tensorflow')


def _make_run(folder):
  """Makes the run of README.md, which some pages load."""
  from sklearn import datasets

  import tf_resflow

  frame = datasets.load_breast_cancer(as_frame=True).data.iloc[:, :10]
  tf_resflow.fit(frame, folder, verbose=False)


def main(names: list[str]) -> None:
  """Runs pages, by default all, and writes their notebooks."""
  import nbclient
  import nbformat

  FOLDER.mkdir(exist_ok=True)
  for name in names or PAGES:
    notebook = nbformat.v4.new_notebook(metadata={'kernelspec': {
        'name': 'python3', 'display_name': 'Python 3', 'language': 'python'}})
    for i, (kind, source) in enumerate(cells(name)):
      make = getattr(nbformat.v4, f'new_{kind}_cell')
      notebook.cells.append(make(source, id=f'{name}-{i}'.replace('_', '-')))
    with tempfile.TemporaryDirectory() as folder:
      if _RUN in str(cells(name)):
        _make_run(pathlib.Path(folder, _RUN))
      nbclient.NotebookClient(
          notebook, timeout=_TIMEOUT, record_timing=False,
          resources={'metadata': {'path': folder}}).execute()
    for cell in notebook.cells:
      if cell.cell_type == 'code':
        cell.outputs = [output for output in cell.outputs if _is_result(output)]
    nbformat.write(notebook, FOLDER / f'{name}.ipynb')


if __name__ == '__main__':
  main(sys.argv[1:])
