"""Flows as SavedModels that need no Python of this package.

`IntegerFlow` is what a server answers, callable from Python as well; `export`
writes it for TensorFlow Serving, with requests that warm the server up.
"""

from tf_resflow.serving.export import check_is_new
from tf_resflow.serving.export import export
from tf_resflow.serving.integer_flow import IntegerFlow
from tf_resflow.serving.warmup import check_is_installed
