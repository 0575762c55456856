"""Which frames of a video see which, decided with the request, and what memory that takes.

`full`: every frame sees all others. `causal`: a video is made chunk by chunk, and a chunk sees
those before it. `window`: a frame sees its neighbours and the first frame, the anchor. It is
decided once, so that every worker that goes on with a video computes the same.
"""

from dataclasses import dataclass

from telecine.v1 import model_pb2

FULL, CAUSAL, WINDOW = "full", "causal", "window"
SHORT_SECONDS = 10.0
"""Shorter videos have full attention."""
LONG_SECONDS = 30.0
"""Longer videos have a window; between the two, those for which full attention is too large."""
_PIXELS_PER_MEGAPIXEL = 1_000_000


@dataclass(frozen=True)
class ClipDemand:
    """What the choice looks at of a video.

    Attributes:
        seconds: length of what is denoised.
        num_pixels: of all its frames together.
        is_chunked: whether it is made chunk by chunk.
    """

    seconds: float
    num_pixels: int
    is_chunked: bool


def choose_attention(
    demand: ClipDemand, limits: model_pb2.ModelLimits, *, device_bytes: int
) -> str:
    """Returns the strategy for a video, one that the model has.

    Args:
        demand: of the video.
        limits: the model's; one that names no strategies has full attention alone.
        device_bytes: memory of the largest device that the video may be made on.
    """
    if demand.is_chunked:
        return CAUSAL
    if WINDOW not in limits.attention_strategies or demand.seconds < SHORT_SECONDS:
        return FULL
    full_bytes = needed_bytes(limits, demand.num_pixels, attention=FULL)
    if demand.seconds > LONG_SECONDS or full_bytes > device_bytes:
        return WINDOW
    return FULL


def needed_bytes(limits: model_pb2.ModelLimits, num_pixels: int, *, attention: str) -> int:
    """Returns the device memory that a model and one of its videos take; 0 where unknown."""
    return limits.memory_bytes + video_bytes(limits, num_pixels, attention=attention)


def video_bytes(limits: model_pb2.ModelLimits, num_pixels: int, *, attention: str) -> int:
    """Returns the device memory that a video takes beside its model."""
    per_megapixel = limits.memory_bytes_per_megapixel
    if attention == WINDOW and limits.window_memory_bytes_per_megapixel:
        per_megapixel = limits.window_memory_bytes_per_megapixel
    return per_megapixel * num_pixels // _PIXELS_PER_MEGAPIXEL
