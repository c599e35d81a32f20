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
from . import workflow as workflow
from .models import ResidualFlow as ResidualFlow
from .models import ResidualFlowConfig as ResidualFlowConfig
from .models import VectorFlow as VectorFlow
from .models import VectorFlowConfig as VectorFlowConfig
from .workflow import detect as detect
from .workflow import evaluate as evaluate
from .workflow import explain as explain
from .workflow import fit as fit
from .workflow import load as load
from .workflow import save_page as save_page
from .workflow import score as score

__version__: str
