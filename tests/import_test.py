"""What `import tf_resflow` loads beside its three frameworks."""

import subprocess
import sys

_SCRIPT = """
import sys
import tensorflow, keras, tensorflow_probability
from tensorflow_probability import bijectors, distributions
bijectors.Chain, distributions.Normal  # TFP imports them lazily.
before = {name.partition('.')[0] for name in sys.modules}
import tf_resflow
after = {name.partition('.')[0] for name in sys.modules}
print(*sorted(after - before))
"""


def test_nothing_heavy_is_imported():
  """No data sets, no figures, no tools."""
  process = subprocess.run(
      [sys.executable, '-c', _SCRIPT], capture_output=True, text=True,
      check=True)
  assert process.stdout.split() == ['tf_resflow']
