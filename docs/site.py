"""The pages of the site that are made, for the hooks of mkdocs.yml.

They are the files of the root, the API by the stubs of packages, which griffe
reads without an import, the texts of `--help`, and flagfiles. To see the site:

    mkdocs build --strict && python -m http.server --directory site
"""

import contextlib
import html
import io
import pathlib
import re
import textwrap
from typing import Any

import matplotlib
from matplotlib import textpath

from tf_resflow.commands import runner
from tf_resflow.configuration import flagfiles

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_PLAIN = ('sklearn', 'configuration', 'errors', 'specs')  # Without a stub.
# In a stub; `tf_resflow` hands out some of `models`, too.
_NAME = re.compile(r'^from \.(?!models import)\S+ import (\w+)', re.MULTILINE)


def pages() -> dict[str, str]:
  """Returns the texts of the pages that are made, by their paths in docs/."""
  made = {name: (_ROOT / name).read_text()
          for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md')}
  made['flagfiles.md'] = '# Flagfiles\n' + ''.join(
      map(_flagfile, flagfiles.names()))
  made |= {f'command_{tool}.md': _command(tool) for tool in runner.TOOLS}
  for stub in sorted(_ROOT.glob('tf_resflow/**/__init__.pyi')):
    if names := _NAME.findall(stub.read_text()):
      made[f'api_{stub.parent.name}.md'] = _package(stub.parent.name, names)
  del made['api_workflow.md']  # Its names are those of `tf_resflow`.
  return made | {f'api_{name}.md': _package(name) for name in _PLAIN}


def _package(name, members=()):
  """A page of a package: all its members, or those of its stub."""
  path = f'tf_resflow.{name}'.replace('.tf_resflow', '')
  return ''.join([
      f'# {path}\n\n::: {path}\n    options:\n      show_root_heading: false\n',
      '      show_root_toc_entry: false\n',
      '      members: false\n' if members else '',
      *(f'\n::: {path}.{member}\n' for member in members)])


def _command(tool):
  """A page of what a tool says of itself, a definition for each flag."""
  with contextlib.redirect_stdout(io.StringIO()) as text:
    runner.run(tool, ['--help=all'])
  about, *groups = re.split(r'^(?=\S.*:\n  --)', text.getvalue(), flags=re.M)
  return f'# tf_resflow {tool}\n' + ''.join(
      f'\n```text\n{textwrap.dedent(part)}\n```\n' if part[0] == ' ' else
      f'\n{_escaped(part)}\n' for part in about.strip().split('\n\n')
  ) + ''.join(re.sub(
      r'^  (--.*?): ((?:.|\n    )*)', lambda flag: (
          f'\n`{flag[1]}`\n:   {_escaped(" ".join(flag[2].split()))}'),
      '\n## ' + group.replace(':\n', '\n', 1), flags=re.M) for group in groups)


def _flagfile(name):
  """A section of a flagfile: the comment at its head, and what it sets."""
  text = pathlib.Path(flagfiles.find(name)).read_text()
  about = ' '.join(re.findall('^# *(.*)', text, re.M))
  flags = '\n'.join(re.findall('^-.*', text, re.M))
  return f'\n## {name}\n\n{_escaped(about)}\n\n```text\n{flags}\n```\n'


def _escaped(text):
  """Returns a text without Markdown, but for flags and links to pages."""
  return re.sub(
      r'docs/(\w+\.md)|(--[\w\[\]]+(?:=[\w.:/,]*\w)?)|([\\`*_{}\[\]<>#|~$])',
      lambda found: f'[{found[1]}]({found[1]})' if found[1] else (
          f'`{found[2]}`' if found[2] else f'\\{found[3]}'), text)


def on_files(files: Any, config: Any) -> None:
  """Adds the pages that are made."""
  from mkdocs.structure import files as mkdocs_files

  for path, text in pages().items():
    files.append(mkdocs_files.File.generated(config, path, content=text))


def on_page_markdown(markdown: str, **_: Any) -> str:
  """Links to files become links to pages, also from the root and to it."""
  markdown = re.sub(r'\]\((?:docs|\.\.)/', '](', markdown)
  return re.sub(r'\[(?:docs/)?(\w+)\.md\]\(', lambda found: (
      f'[{found[1].replace("_", " ")}]('), markdown)


def on_page_content(content: str, **_: Any) -> str:
  """Formulas become pictures in the colour of the text, without a script."""
  return re.sub(
      r'<(\w+) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>',
      lambda found: _formula(html.unescape(found[3]), found[2] == '['),
      content, flags=re.DOTALL)


def _formula(tex, is_block):
  """Returns an <svg> of a formula, whose baseline is that of the text."""
  tex = ' '.join(tex.split()).replace(r'\frac', (r'\frac', r'\dfrac')[is_block])
  with matplotlib.rc_context({'mathtext.fontset': 'cm'}):
    path = textpath.TextPath((0, 0), f'${tex}$', size=1000)
  (left, bottom), (right, top) = path.get_extents().get_points().round()
  outline = ''.join(
      'Z' if code == path.CLOSEPOLY else ' '.join(
          [' MLQC'[code], *(f'{number:.0f}' for number in points)])
      for points, code in path.iter_segments())
  return (
      f'<svg class="formula{" is-block" * is_block}" role="img" '
      f'aria-label="{html.escape(tex)}" '
      f'viewBox="{left} {-top} {right - left} {top - bottom}" style="'
      f'height:{(top - bottom) / 1000}em;vertical-align:{bottom / 1000}em">'
      '<path fill="currentColor" transform="scale(1 -1)" '
      f'd="{outline}"/></svg>')
