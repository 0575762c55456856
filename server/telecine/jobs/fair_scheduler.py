"""Flows of the fair scheduler: who shares the workers, and with which weights.

The order itself is decided in functions/fair_scheduler.lua and slices.lua.
"""

from collections.abc import Mapping
from types import MappingProxyType

from telecine.v1 import video_pb2

TIER_WEIGHTS: Mapping[video_pb2.Tier.ValueType, float] = MappingProxyType(
    {
        video_pb2.TIER_REALTIME: 16.0,
        video_pb2.TIER_PREMIUM: 8.0,
        video_pb2.TIER_STANDARD: 4.0,
        video_pb2.TIER_BATCH: 1.0,
    }
)
# A job that claims to cost nothing would let its flow pass all others for ever.
MIN_STEP_UNITS = 0.001


def resolve_tier(tier: video_pb2.Tier.ValueType) -> video_pb2.Tier.ValueType:
    """Returns the tier that serves a request for `tier`: STANDARD where it names none."""
    return tier if tier in TIER_WEIGHTS else video_pb2.TIER_STANDARD


def flow_name(tenant: str, tier: video_pb2.Tier.ValueType) -> str:
    """Returns the name of the flow that a tenant's videos of one tier wait in."""
    return f"{tier_word(tier)}:{tenant}"


def tier_word(tier: video_pb2.Tier.ValueType) -> str:
    """Returns a tier's name as settings and flows have it, `batch` say."""
    return video_pb2.Tier.Name(tier).removeprefix("TIER_").lower()
