"""The pages of the site that are made, for the hooks of mkdocs.yml.

They are README.md and other files of the root, the API by the stubs of the
packages, read by griffe without an import, the texts of `--help`, and flagfiles.
To see the site:

    mkdocs build --strict && python -m http.server --directory site
"""

import contextlib
import html
import io
import pathlib
import re

import matplotlib
from matplotlib import textpath

from tf_resflow.commands import runner
from tf_resflow.configuration import flagfiles

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_PLAIN = ('sklearn', 'configuration', 'errors', 'specs')  # Without a stub.
# In a stub; `tf_resflow` hands out some of `models`, too.
_NAME = r'^from \.(?!models import)\S+ import (\w+)'


def pages() -> dict[str, str]:
  """Returns the texts of the pages that are made, by their paths in docs/."""
  made = {'index.md': (_ROOT / 'README.md').read_text()} | {
      name: (_ROOT / name).read_text()
      for name in ('CONTRIBUTING.md', 'CHANGELOG.md')}
  made['flagfiles.md'] = '# Flagfiles\n' + ''.join(
      map(_flagfile, flagfiles.names()))
  made |= {f'command_{tool}.md': _command(tool) for tool in runner.TOOLS}
  for stub in sorted(_ROOT.glob('tf_resflow/**/__init__.pyi')):
    if names := re.findall(_NAME, stub.read_text(), re.MULTILINE):
      made[f'api_{stub.parent.name}.md'] = _package(stub.parent.name, names)
  del made['api_workflow.md']  # Its names are those of `tf_resflow`.
  return made | {f'api_{name}.md': _package(name) for name in _PLAIN}


def _package(name, members=()):
  """A page of a package: all its members, or those of its stub."""
  path = 'tf_resflow' if name == 'tf_resflow' else f'tf_resflow.{name}'
  head = (f'# {path}\n\n::: {path}\n    options:\n'
          '      show_root_heading: false\n      show_root_toc_entry: false\n')
  return head + ('      members: false\n' if members else '') + ''.join(
      f'\n::: {path}.{member}\n' for member in members)


def _command(tool):
  """A page of what a tool says of itself, a definition for each flag."""
  with contextlib.redirect_stdout(io.StringIO()) as text:
    runner.run(tool, ['--help=all'])
  about, *groups = re.split(r'^(?=\S.*:\n  --)', text.getvalue(), flags=re.M)
  about = ''.join(
      f'\n```text\n{part}\n```\n' if part[0] == ' ' else f'\n{_escaped(part)}\n'
      for part in about.strip().split('\n\n'))
  return f'# tf_resflow {tool}\n{about}' + ''.join(
      re.sub(r'^  (--.*?): ((?:.|\n    )*)', lambda flag: (
          f'\n`{flag[1]}`\n:   {_escaped(" ".join(flag[2].split()))}'),
             re.sub(r'^(\S.*):$', r'\n## \1', group, count=1, flags=re.M),
             flags=re.M) for group in groups)


def _flagfile(name):
  """A section of a flagfile: the comment at its head, and what it sets."""
  lines = pathlib.Path(flagfiles.find(name)).read_text().splitlines()
  about = ' '.join(line.strip('# ') for line in lines if line.startswith('#'))
  flags = '\n'.join(line for line in lines if not line.startswith('#'))
  return f'\n## {name}\n\n{_escaped(about)}\n\n```text\n{flags.strip()}\n```\n'


def _escaped(text):
  """Returns a text without Markdown, but with links to pages of docs/."""
  parts = re.split(r'docs/(\w+\.md)', text)
  parts[::2] = [re.sub(r'([\\`*_{}\[\]<>#|~$])', r'\\\1', part)
                for part in parts[::2]]
  parts[1::2] = [f'[{name}]({name})' for name in parts[1::2]]
  return ''.join(parts)


def on_files(files, config):
  """Adds the pages that are made."""
  from mkdocs.structure import files as mkdocs_files

  for path, text in pages().items():
    files.append(mkdocs_files.File.generated(config, path, content=text))


def on_page_markdown(markdown, **_):
  """Links to files of the root become links to their pages."""
  markdown = markdown.replace('](../README.md', '](index.md')
  return re.sub(r'\]\((?:docs|\.\.)/', '](', markdown)


def on_page_content(content, **_):
  """Formulas become pictures in the colour of the text, without a script."""
  return re.sub(
      r'<(\w+) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>',
      lambda found: _formula(html.unescape(found[3]), found[2] == '['),
      content, flags=re.DOTALL)


def _formula(tex, is_block):
  """Returns an <svg> of a formula, whose baseline is that of the text."""
  tex = ' '.join(tex.split())
  with matplotlib.rc_context({'mathtext.fontset': 'cm'}):
    path = textpath.TextPath((0, 0), '$%s$' % (
        tex.replace(r'\frac', r'\dfrac') if is_block else tex), size=1000)
  (left, bottom), (right, top) = path.get_extents().get_points().round()
  outline = ''.join(
      'ZMLQC'[code % 79] + ' '.join(f'{p:.0f}' for p in points[:2 * (code % 79)])
      for points, code in path.iter_segments())
  return (
      f'<svg class="formula{" is-block" * is_block}" role="img" '
      f'aria-label="{html.escape(tex)}" '
      f'viewBox="{left} {-top} {right - left} {top - bottom}" style="'
      f'height:{(top - bottom) / 1000}em;vertical-align:{bottom / 1000}em">'
      f'<path fill="currentColor" transform="scale(1 -1)" d="{outline}"/></svg>')


def on_post_build(config):
  """Raises if a page loads anything from elsewhere."""
  from mkdocs import exceptions

  for page in pathlib.Path(config.site_dir).rglob('*.html'):
    if loaded := re.search(
        r'<(?:script|img|iframe)[^>]* src="?http|<link[^>]* href="?http',
        page.read_text()):
      raise exceptions.BuildError(f'{page}: {loaded[0]}')
