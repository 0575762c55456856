"""What a tenant may take on: limits on their way into Redis, and how fast it may call."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from telecine.jobs.account_answers import MICROS, rate_state
from telecine.jobs.call_batcher import Argument
from telecine.jobs.job_types import RateBucket, RateState, SpendingLimits

_COUNTED = ("max_open_videos", "max_stored_bytes", "daily_microcredits", "monthly_microcredits")


class AccountCalls:
    """The part of JobStore that keeps tenants to their pace (functions/rate_limits.lua)."""

    async def take_rate(self, buckets: Sequence[RateBucket], *, cost: int = 1) -> RateState:
        """Takes `cost` from all buckets, or from none where one has too little.

        Returns:
            The state of the bucket that is last to have enough.
        """
        arguments: dict[str, Argument] = {"buckets": encode_buckets(buckets), "cost": cost}
        return rate_state(await self._call("take_rate", arguments))

    async def _call(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        raise NotImplementedError


def encode_limits(limits: SpendingLimits) -> dict[str, Argument]:
    """Returns the arguments of `submit` that say what a tenant may take on; none for no limit."""
    arguments: dict[str, Argument] = {
        name: limit for name in _COUNTED if (limit := getattr(limits, name)) is not None
    }
    if limits.credit_buckets:
        arguments["credit_buckets"] = encode_buckets(limits.credit_buckets)
    return arguments


def encode_buckets(buckets: Iterable[RateBucket]) -> str:
    """Returns a line a bucket: its name, microseconds until a unit flows back, units it holds."""
    return "".join(
        f"{bucket.name} {MICROS / bucket.units_per_second!r} {bucket.burst!r}\n"
        for bucket in buckets
    )
