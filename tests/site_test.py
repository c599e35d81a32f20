"""The pages of the site that are made; `mkdocs build` checks their links."""

import re
import runpy

import pytest

from tests import documents
from tf_resflow.commands import runner
from tf_resflow.configuration import flagfiles

_SITE = runpy.run_path(str(documents.ROOT / 'docs' / 'site.py'))


@pytest.fixture(scope='module', name='pages')
def pages_fixture():
  return _SITE['pages']()


def test_every_tool_has_a_page_of_its_flags(pages):
  for tool in runner.TOOLS:
    assert '\n`--' in pages[f'command_{tool}.md'], tool
  train = pages['command_train.md']
  assert re.search(r'^`--batch_size`\n:   \S', train, re.MULTILINE)
  assert re.search(r'^`--\[no\]keep_best`$', train, re.MULTILINE)
  assert '\n  --' not in train.partition('\n## ')[2]


def test_every_flagfile_has_a_section(pages):
  found = re.findall(r'^## (\w+)$', pages['flagfiles.md'], re.MULTILINE)
  assert found == flagfiles.names()


def test_public_names_have_directives(pages):
  for name in ('fit', 'explain', 'score', 'layers.ResidualBlock'):
    package = name.partition('.')[0] if '.' in name else 'tf_resflow'
    assert f'::: tf_resflow.{name}\n' in pages[f'api_{package}.md']


def test_all_pages_are_in_the_navigation_and_short(pages):
  """CHANGELOG.md and what is made of the code may be long."""
  config = (documents.ROOT / 'mkdocs.yml').read_text()
  listed = re.findall(r': (\w+\.md)$', config, re.MULTILINE)
  written = {path.name: path.read_text() for path in documents.pages()[1:]}
  assert sorted(listed) == sorted(pages | written)
  written |= {name: pages[name] for name in ('README.md', 'CONTRIBUTING.md')}
  long = {name: len(text.split()) for name, text in written.items()
          if len(text.split()) > 1800}
  assert not long


def test_links_are_to_pages_and_have_their_names():
  changed = _SITE['on_page_markdown'](
      '[a](docs/a.md#b) [c](../README.md#d) [docs/my_page.md](docs/my_page.md)')
  assert changed == '[a](a.md#b) [c](README.md#d) [my page](my_page.md)'


def test_formulas_are_drawn():
  content = _SITE['on_page_content'](
      r'<span class="arithmatex">\(a &lt; b\)</span> '
      r'<div class="arithmatex">\[\frac{1}{2}\]</div>')
  assert content.count('<svg') == content.count('<path') == 2
  assert 'aria-label="a &lt; b"' in content and 'arithmatex' not in content
