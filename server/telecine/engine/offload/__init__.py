"""Networks from their files, also where they do not fit: streamed block by block, or quantised."""

from telecine.engine.offload.loading import default_dtype, load_network
from telecine.engine.offload.options import FULL, WEIGHTS_MODES, LoadOptions, WeightsMode
from telecine.engine.offload.weights_files import WeightsFiles

__all__ = [
    "FULL",
    "WEIGHTS_MODES",
    "LoadOptions",
    "WeightsFiles",
    "WeightsMode",
    "default_dtype",
    "load_network",
]
