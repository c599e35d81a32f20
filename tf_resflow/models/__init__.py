"""Flows as Keras models, with frozen configurations."""

from tf_resflow.models.config import ResidualFlowConfig
from tf_resflow.models.config import VectorFlowConfig
from tf_resflow.models.flow import BlockBound
from tf_resflow.models.flow import Flow
from tf_resflow.models.residual_flow import ResidualFlow
from tf_resflow.models.vector_flow import VectorFlow
