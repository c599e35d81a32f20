"""The configuration of runs and its flags, without TensorFlow."""

from tf_resflow.configuration.config import Config
from tf_resflow.configuration.config import make_config
