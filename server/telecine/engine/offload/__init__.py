"""Networks from their files, also where they do not fit: streamed block by block, or quantised."""

from telecine.engine.offload.loading import default_dtype, load_network
from telecine.engine.offload.options import FULL, WEIGHTS_MODES, LoadOptions, WeightsMode

__all__ = [
    "FULL",
    "WEIGHTS_MODES",
    "LoadOptions",
    "WeightsMode",
    "default_dtype",
    "load_network",
]
