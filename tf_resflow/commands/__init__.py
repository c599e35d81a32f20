"""The command-line tools, one module each; only this package reads flags.

A tool is a module with a manual (its docstring), `Options` (its flags: a
dataclass made of the shared groups of `options`) and `main`. `runner` runs it:
bin/NAME in a checkout, `tf_resflow NAME` where the package is installed. To add
a tool: one module here, one name in `runner.TOOLS`, one launcher in bin/.
"""

import time

# When this process came here, of which `benchmark` counts.
START = time.perf_counter()
