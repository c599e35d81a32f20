"""How griffe reads the docstrings of the package, for mkdocs.yml."""

import re

import griffe

_ADAPTED = re.compile(r'adapt\(layers\.(\w+)\)')


class Indentation(griffe.Extension):
  """Docstrings are indented by 2, where Markdown wants 4 for a formula.

  And what adapts a layer has one.
  """

  def on_instance(self, *, obj, **kwargs) -> None:
    adapted = obj.is_attribute and _ADAPTED.fullmatch(str(obj.value))
    if adapted:
      name = adapted[1]
      obj.docstring = griffe.Docstring(
          f'The TFP bijector of the layer [`layers.{name}`](api_layers.md'
          f'#tf_resflow.layers.{name}), with its arguments, then '
          '`event_shape=` (of one event of its input, `[H, W, C]` or `[D]`; '
          'needed unless the layer is built), `dtype=`, `layer=` (a layer to '
          'adapt in place of a new one), `seed=` (fixes the draws of every '
          'call) and `name=`.', parent=obj)
    if obj.docstring:
      obj.docstring.value = re.sub(
          r'^ +', lambda indent: 2 * indent[0], obj.docstring.value.replace(
              '\nExample:\n', '\nExamples:\n'), flags=re.MULTILINE)
