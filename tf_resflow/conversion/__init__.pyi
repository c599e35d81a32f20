from . import arguments as arguments
from . import converter as converter
from . import weights as weights
from .converter import convert as convert
from .converter import load_checkpoint as load_checkpoint
from .converter import load_model as load_model
from .weights import from_channels_first as from_channels_first
from .weights import to_channels_first as to_channels_first
