from collections.abc import Callable

from .chain import Chain as Chain
from .density import distribution as distribution
from .flow_bijector import FlowBijector as FlowBijector
from .layer_bijector import LayerBijector as LayerBijector

ADAPTED: list[str]

# Those that are derived from the bijections of `layers`, by their names.
def __getattr__(name: str) -> Callable[..., LayerBijector]: ...
