from . import benchmarking as benchmarking
from . import bijectors as bijectors
from . import configuration as configuration
from . import conversion as conversion
from . import datasets as datasets
from . import errors as errors
from . import evaluation as evaluation
from . import layers as layers
from . import models as models
from . import numerics as numerics
from . import serving as serving
from . import specs as specs
from . import training as training
from .models import ResidualFlow as ResidualFlow
from .models import ResidualFlowConfig as ResidualFlowConfig
from .models import VectorFlow as VectorFlow
from .models import VectorFlowConfig as VectorFlowConfig
from .training import load as load

__version__: str
