"""What can be asked for: names, specs, fields and runs, without TensorFlow."""

from tf_resflow.configuration.config import Config
from tf_resflow.configuration.config import make_config
from tf_resflow.configuration.model_config import model_from_json
from tf_resflow.configuration.model_config import ModelConfig
