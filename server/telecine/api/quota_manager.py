"""How much tenants may use: the settings', unless UpdateQuota has set something else.

What they use is counted and held to this inside the job store's own functions.
"""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from telecine.api.caller import Caller
from telecine.config import QuotaSettings
from telecine.jobs.account_store import NUMBERS, AccountStore
from telecine.jobs.job_types import RateBucket, SpendingLimits
from telecine.v1 import usage_pb2, video_pb2

NO_LIMIT = -1
MICROS = 1_000_000
_FRESH_SECONDS = 1.0
_MAX_REMEMBERED = 10_000


@dataclass(frozen=True)
class Allowance:
    """What a tenant may have.

    Attributes:
        tiers: those that it may ask for, the default first; none stands for all.
        limits: what holds for each video that it asks for.
        request_buckets: what its calls are taken from.
    """

    tiers: tuple[video_pb2.Tier.ValueType, ...]
    limits: SpendingLimits
    request_buckets: tuple[RateBucket, ...]


@dataclass
class _Known:
    allowance: Allowance
    read_time: float


class QuotaManager:
    """Knows what each tenant may have; reads it at most once a second."""

    def __init__(self, accounts: AccountStore, settings: QuotaSettings) -> None:
        self.accounts = accounts
        self._settings = settings
        self._defaults = _quota_of(settings)
        self._known: dict[tuple[str, str], _Known] = {}

    async def allowance_of(self, caller: Caller) -> Allowance:
        """Returns what a caller may have; what was set is heard of within a second.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        owner, now = (caller.tenant, caller.principal), time.monotonic()
        known = self._known.get(owner)
        if known is not None:
            if now - known.read_time < _FRESH_SECONDS:
                return known.allowance
            known.read_time = now  # calls beside this one go on with what is known
        allowance = self._allow(caller, await self.effective_quota(caller.tenant))
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[owner] = _Known(allowance, now)
        return allowance

    async def effective_quota(self, tenant: str) -> usage_pb2.Quota:
        """Returns a tenant's quota as it counts now: every number set, -1 for no limit."""
        quota = usage_pb2.Quota()
        quota.CopyFrom(self._defaults)
        own = await self.accounts.quota(tenant)
        if own.tiers:
            quota.ClearField("tiers")
        quota.MergeFrom(own)
        quota.name = f"tenants/{tenant}/quota"
        return quota

    async def set_quota(
        self, tenant: str, quota: usage_pb2.Quota, *, fields: Iterable[str]
    ) -> usage_pb2.Quota:
        """Sets some fields of a tenant's quota, and returns it as it counts from now on."""
        await self.accounts.set_quota(tenant, quota, fields=fields)
        self._known.clear()
        return await self.effective_quota(tenant)

    async def usage_of(self, tenant: str) -> usage_pb2.Usage:
        """Returns what a tenant uses now, beside its limits."""
        usage = await self.accounts.usage(tenant)
        quota = await self.effective_quota(tenant)
        usage.name = f"tenants/{tenant}/usage"
        if quota.daily_microcredits != NO_LIMIT:
            usage.day.limit_microcredits = quota.daily_microcredits
        if quota.monthly_microcredits != NO_LIMIT:
            usage.month.limit_microcredits = quota.monthly_microcredits
        return usage

    async def available_microcredits(self, tenant: str) -> int | None:
        """Returns what is left to a tenant for the day and the month; None for no limit."""
        usage = await self.usage_of(tenant)
        left = [
            period.limit_microcredits - period.used_microcredits
            for period in (usage.day, usage.month)
            if period.HasField("limit_microcredits")
        ]
        return max(0, min(left)) if left else None

    def _allow(self, caller: Caller, quota: usage_pb2.Quota) -> Allowance:
        limits = SpendingLimits(
            max_open_videos=_limit(quota.max_open_videos),
            max_stored_bytes=_limit(quota.max_stored_bytes),
            daily_microcredits=_limit(quota.daily_microcredits),
            monthly_microcredits=_limit(quota.monthly_microcredits),
            credit_buckets=self._buckets(
                "credits",
                caller,
                quota.microcredits_per_second,
                _micros(self._settings.key_credits_per_second),
            ),
        )
        calls = self._buckets(
            "requests", caller, quota.requests_per_second, self._settings.key_requests_per_second
        )
        return Allowance(tuple(quota.tiers), limits, calls)

    def _buckets(
        self, kind: str, caller: Caller, of_tenant: int, of_key: int | None
    ) -> tuple[RateBucket, ...]:
        rates = (
            (f"{kind}:tenant:{caller.tenant}", of_tenant),
            (f"{kind}:key:{_digest(caller)}", NO_LIMIT if of_key is None else of_key),
        )
        return tuple(
            RateBucket(name, rate, max(1.0, rate * self._settings.burst_seconds))
            for name, rate in rates
            if rate != NO_LIMIT
        )


def _digest(caller: Caller) -> str:
    """Returns a name for a caller's key: its own may hold any character."""
    owner = f"{caller.tenant}\n{caller.principal}".encode()
    return hashlib.sha256(owner).hexdigest()[:32]


def _limit(number: int) -> int | None:
    return None if number == NO_LIMIT else number


def _micros(amount: Decimal | None) -> int:
    return NO_LIMIT if amount is None else int(amount * MICROS)


def _quota_of(settings: QuotaSettings) -> usage_pb2.Quota:
    quota = usage_pb2.Quota(
        monthly_microcredits=_micros(settings.monthly_credits),
        daily_microcredits=_micros(settings.daily_credits),
        microcredits_per_second=_micros(settings.credits_per_second),
        tiers=[video_pb2.Tier.Value(f"TIER_{tier.upper()}") for tier in settings.tiers],
    )
    for name in NUMBERS:
        if not quota.HasField(name):  # type: ignore[arg-type]
            value = getattr(settings, name)
            setattr(quota, name, NO_LIMIT if value is None else value)
    return quota
