"""What a caller may have, of its tenant and of its key."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from telecine.api.caller import Caller
from telecine.api.quota_manager import QuotaManager
from telecine.config import QuotaSettings
from telecine.jobs.account_store import AccountStore
from telecine.jobs.job_types import NO_LIMITS, RateBucket
from telecine.jobs.redis_client import connect_redis
from telecine.v1 import usage_pb2

ALICE = Caller("alice", "key with any character\n", frozenset())


@pytest.fixture
async def accounts(redis_url: str) -> AsyncIterator[AccountStore]:
    redis = connect_redis(redis_url)
    yield AccountStore(redis)
    await redis.aclose()


async def test_nothing_is_limited_by_default(accounts: AccountStore) -> None:
    allowance = await QuotaManager(accounts, QuotaSettings()).allowance_of(ALICE)
    assert allowance.limits == NO_LIMITS
    assert allowance.request_buckets == allowance.tiers == ()


async def test_settings_hold_until_a_tenant_has_numbers_of_its_own(accounts: AccountStore) -> None:
    settings = QuotaSettings(daily_credits=Decimal("1.5"), max_open_videos=3)
    quotas = QuotaManager(accounts, settings)
    assert (await quotas.allowance_of(ALICE)).limits.daily_microcredits == 1_500_000
    own = usage_pb2.Quota(daily_microcredits=-1, monthly_microcredits=7)
    await quotas.set_quota("alice", own, fields=["daily_microcredits", "monthly_microcredits"])
    limits = (await quotas.allowance_of(ALICE)).limits
    assert limits.daily_microcredits is None
    assert (limits.monthly_microcredits, limits.max_open_videos) == (7, 3)
    bob = await quotas.allowance_of(Caller("bob", "key", frozenset()))
    assert bob.limits.daily_microcredits == 1_500_000


async def test_tenant_and_key_have_buckets_of_their_own(accounts: AccountStore) -> None:
    settings = QuotaSettings(
        credits_per_second=Decimal(2), key_credits_per_second=Decimal(1), key_requests_per_second=4
    )
    allowance = await QuotaManager(accounts, settings).allowance_of(ALICE)
    tenant, key = allowance.limits.credit_buckets
    assert tenant == RateBucket("credits:tenant:alice", 2_000_000, 20_000_000)
    assert (key.units_per_second, key.burst) == (1_000_000, 10_000_000)
    assert key.name.startswith("credits:key:")
    assert not any(character.isspace() for character in key.name)
    (requests,) = allowance.request_buckets
    assert (requests.units_per_second, requests.burst) == (4, 40)
