from . import preconditions as preconditions
from . import signatures as signatures
from .saved_model import export as export
from .served_flow import ServedFlow as ServedFlow
from .signatures import IntegerFlow as IntegerFlow
from .signatures import VectorSignatures as VectorSignatures
