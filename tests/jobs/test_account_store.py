"""Ledgers are read in pages, and quotas set field by field."""

import pytest
from redis.asyncio import Redis
from submissions import make_submission

from telecine.jobs.account_store import AccountStore
from telecine.jobs.job_store import JobStore
from telecine.v1 import usage_pb2, video_pb2


@pytest.fixture
def accounts(client: Redis) -> AccountStore:
    return AccountStore(client)


async def test_pages_hold_every_entry_once_newest_first(
    store: JobStore, accounts: AccountStore
) -> None:
    names = [(await store.submit(make_submission(price=n))).name for n in range(1, 8)]
    seen: list[str] = []
    before, has_more = "", True
    while has_more:
        page = await accounts.ledger("alice", page_size=3, before=before)
        seen += [entry.video for entry in page.entries]
        before, has_more = page.entries[-1].entry_id, page.has_more
    assert seen == names[::-1]


async def test_unknown_tenant_uses_nothing(accounts: AccountStore) -> None:
    usage = await accounts.usage("nobody")
    assert usage.reserved_microcredits == usage.spent_microcredits == usage.num_open_videos == 0
    assert usage.day.end_time.seconds - usage.day.start_time.seconds == 86_400
    assert not (await accounts.ledger("nobody", page_size=5)).entries
    assert await accounts.quota("nobody") == usage_pb2.Quota()


async def test_fields_that_are_not_named_stay_as_they_were(accounts: AccountStore) -> None:
    first = usage_pb2.Quota(daily_microcredits=5, max_open_videos=-1, tiers=[video_pb2.TIER_BATCH])
    await accounts.set_quota(
        "alice", first, fields=["daily_microcredits", "max_open_videos", "tiers"]
    )
    await accounts.set_quota(
        "alice", usage_pb2.Quota(max_open_videos=3), fields=["max_open_videos"]
    )
    first.max_open_videos = 3
    assert await accounts.quota("alice") == first
    await accounts.set_quota("alice", usage_pb2.Quota(), fields=["daily_microcredits", "tiers"])
    assert await accounts.quota("alice") == usage_pb2.Quota(max_open_videos=3)
