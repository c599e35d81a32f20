"""Run configuration and its command-line flags, without TensorFlow."""

from tf_resflow.configuration.run_config import Config
from tf_resflow.configuration.run_config import make_config

__all__ = ['Config', 'make_config']
