"""From the configuration of a model to the model."""

from tf_resflow import models


def read_model_config(text: str) -> models.ResidualFlowConfig:
  """Returns the configuration that model.json holds."""
  return models.ResidualFlowConfig.from_json(text)


def build_model(
    config: models.ResidualFlowConfig, dtype: str = 'float32') -> models.Flow:
  """Returns a new model."""
  return models.ResidualFlow(config, dtype=dtype)
