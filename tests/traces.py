"""Runs a tool of this package, and writes what TensorFlow traced meanwhile.

  python -m tests.traces FILE.json TOOL --FLAG=VALUE ...

The file holds a list of the traced functions in their order: the name of each,
and the place in this package that called for it.
"""

import json
import pathlib
import sys
import traceback

from tf_resflow.commands import runner

_PACKAGE = str(pathlib.Path(runner.__file__).parents[1])


def record() -> list[tuple[str, str]]:
  """Returns a list that grows by name and place of every traced function."""
  from tensorflow.python.eager.polymorphic_function import tracing_compilation

  traces, original = [], tracing_compilation._create_concrete_function

  def create(function_type, type_context, func_graph, tracing_options):
    # From the outermost line of the package to the innermost, without that of
    # `tracing.function_in_graphs`.
    places = [
        f'{pathlib.Path(f.filename).relative_to(_PACKAGE)}:{f.lineno}'
        for f in traceback.extract_stack() if f.filename.startswith(_PACKAGE)
        and pathlib.Path(f.filename).name != 'tracing.py']
    traces.append((tracing_options.name, (places or ['outside'])[-1]))
    return original(function_type, type_context, func_graph, tracing_options)

  tracing_compilation._create_concrete_function = create
  return traces


def main() -> None:
  """Runs the tool that the arguments name."""
  path, name, *arguments = sys.argv[1:]
  runner.load_tensorflow()
  traces = record()
  status = runner.run(name, arguments)
  pathlib.Path(path).write_text(json.dumps(traces))
  sys.exit(status)


if __name__ == '__main__':
  main()
