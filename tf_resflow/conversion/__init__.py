"""Checkpoints of the authors' PyTorch code, turned into models of this package.

Chen et al. (2019) published their trained models as PyTorch checkpoints
(https://github.com/rtqichen/residual-flows). They are read here without
PyTorch: `torch_file` reads the file, `arguments` turns its training arguments
into a configuration, `weights` moves its tensors, `latents` translates the
order of latents.
"""

from tf_resflow.conversion.arguments import Conversion
from tf_resflow.conversion.arguments import convert_arguments
from tf_resflow.conversion.checkpoint import Checkpoint
from tf_resflow.conversion.checkpoint import load_checkpoint
from tf_resflow.conversion.checkpoint import WEIGHTS
from tf_resflow.conversion.converter import convert
from tf_resflow.conversion.converter import is_converted
from tf_resflow.conversion.converter import load_model
from tf_resflow.conversion.latents import from_channels_first
from tf_resflow.conversion.latents import to_channels_first
from tf_resflow.conversion.weights import load_weights
