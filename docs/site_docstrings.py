"""How griffe reads the docstrings of the package, for mkdocs.yml."""

import re

import griffe


class Indentation(griffe.Extension):
  """Docstrings are indented by 2, where Markdown wants 4 for a formula."""

  def on_instance(self, *, obj, **kwargs) -> None:
    if obj.docstring:
      obj.docstring.value = re.sub(
          r'^ +', lambda indent: 2 * indent[0], obj.docstring.value.replace(
              '\nExample:\n', '\nExamples:\n'), flags=re.MULTILINE)
