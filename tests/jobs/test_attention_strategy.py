"""Each tier, length and device has its attention, of those that the model has."""

import pytest

from telecine.jobs.attention_strategy import (
    ClipDemand,
    choose_attention,
    needed_bytes,
    video_bytes,
)
from telecine.v1 import model_pb2

GB = 10**9
LIMITS = model_pb2.ModelLimits(
    attention_strategies=["full", "causal", "window"],
    memory_bytes=GB,
    memory_bytes_per_megapixel=GB,
    window_memory_bytes_per_megapixel=GB // 10,
)
FULL_ALONE = model_pb2.ModelLimits(memory_bytes=GB, memory_bytes_per_megapixel=GB)
ROOMY, TIGHT = 11 * GB, 11 * GB - 1
"""A device that just holds the video below with full attention, and one that just does not."""


def demand(seconds: float, *, is_chunked: bool = False) -> ClipDemand:
    return ClipDemand(seconds=seconds, num_pixels=10_000_000, is_chunked=is_chunked)


@pytest.mark.parametrize(
    ("seconds", "device_bytes", "attention"),
    [
        (2.0, 0, "full"),
        (9.99, TIGHT, "full"),
        (10.0, ROOMY, "full"),
        (10.0, TIGHT, "window"),
        (30.0, ROOMY, "full"),
        (30.0, TIGHT, "window"),
        (30.01, ROOMY, "window"),
        (60.0, ROOMY, "window"),
    ],
)
def test_length_and_memory_decide(seconds: float, device_bytes: int, attention: str) -> None:
    assert choose_attention(demand(seconds), LIMITS, device_bytes=device_bytes) == attention


@pytest.mark.parametrize("seconds", [2.0, 15.0, 60.0])
def test_a_video_made_in_chunks_is_causal_at_any_length(seconds: float) -> None:
    chunked = demand(seconds, is_chunked=True)
    assert choose_attention(chunked, LIMITS, device_bytes=TIGHT) == "causal"


@pytest.mark.parametrize("seconds", [2.0, 15.0, 60.0])
def test_a_model_without_a_window_has_full_attention_at_any_length(seconds: float) -> None:
    assert choose_attention(demand(seconds), FULL_ALONE, device_bytes=TIGHT) == "full"


def test_a_window_takes_its_own_memory_where_the_model_says_so() -> None:
    assert needed_bytes(LIMITS, 10_000_000, attention="full") == 11 * GB
    assert needed_bytes(LIMITS, 10_000_000, attention="window") == 2 * GB
    assert video_bytes(FULL_ALONE, 10_000_000, attention="window") == 10 * GB
