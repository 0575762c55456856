"""Buckets that flow back with time, for calls and for credits."""

import pytest
from clocked_store import START_MICROS, ClockedStore, set_clock
from redis.asyncio import Redis
from submissions import make_submission

from telecine.errors import RateLimitedError
from telecine.jobs.job_types import RateBucket, RateState, SpendingLimits, VideoQuery

TENANT = RateBucket("requests:tenant:alice", units_per_second=10, burst=3)
KEY = RateBucket("requests:key:0123", units_per_second=1, burst=2)


@pytest.fixture
async def store(client: Redis) -> ClockedStore:
    await set_clock(client, START_MICROS)
    return ClockedStore(client)


async def wait(client: Redis, seconds: float) -> None:
    now = int(await client.get("telecine:{0}:clock"))
    await set_clock(client, now + round(seconds * 1_000_000))


async def test_bucket_gives_its_burst_at_once_and_then_its_rate(
    store: ClockedStore, client: Redis
) -> None:
    states = [await store.take_rate([TENANT]) for _ in range(4)]
    assert [state.remaining for state in states] == [2, 1, 0, 0]
    assert [state.retry_seconds for state in states] == [0, 0, 0, pytest.approx(0.1)]
    assert states[3] == RateState(limit=3, remaining=0, reset_seconds=0.3, retry_seconds=0.1)
    await wait(client, 0.1)
    assert not (await store.take_rate([TENANT])).retry_seconds
    assert (await store.take_rate([TENANT])).retry_seconds


@pytest.mark.parametrize("rate", [1, 7, 250])
async def test_no_interval_gives_more_than_burst_and_rate_allow(
    store: ClockedStore, client: Redis, rate: int
) -> None:
    bucket = RateBucket("b", units_per_second=rate, burst=5)
    given = 0
    for _ in range(200):
        given += not (await store.take_rate([bucket])).retry_seconds
        await wait(client, 0.01)
    assert min(200, 5 + 2 * rate) - 1 <= given <= 5 + 2 * rate


async def test_where_one_bucket_is_empty_no_other_gives(store: ClockedStore, client: Redis) -> None:
    for _ in range(2):
        await store.take_rate([KEY])
    refused = await store.take_rate([TENANT, KEY])
    assert (refused.limit, refused.retry_seconds) == (2, 1.0)
    assert (await store.take_rate([TENANT])).remaining == 2


async def test_full_bucket_is_forgotten(store: ClockedStore, client: Redis) -> None:
    await store.take_rate([TENANT])
    assert 0 < await client.pttl("telecine:{0}:rate:requests:tenant:alice") <= 60_101


async def test_spending_waits_until_what_was_spent_has_flowed_back(
    store: ClockedStore, client: Redis
) -> None:
    bucket = RateBucket("credits:tenant:alice", units_per_second=100, burst=1000)
    submission = make_submission(price=600, limits=SpendingLimits(credit_buckets=(bucket,)))
    await store.submit(submission)
    with pytest.raises(RateLimitedError) as refusal:
        await store.submit(submission)
    assert (refusal.value.limit, refusal.value.remaining) == (1000, 400)
    assert (refusal.value.retry_seconds, refusal.value.reset_seconds) == (2.0, 6.0)
    assert len((await store.list_videos(VideoQuery("alice"))).videos) == 1
    await wait(client, 2.0)
    await store.submit(submission)


async def test_price_above_the_burst_passes_a_full_bucket_and_is_paid_off(
    store: ClockedStore, client: Redis
) -> None:
    bucket = RateBucket("credits:tenant:alice", units_per_second=100, burst=1000)
    limits = SpendingLimits(credit_buckets=(bucket,))
    await store.submit(make_submission(price=5000, limits=limits))
    with pytest.raises(RateLimitedError) as refusal:
        await store.submit(make_submission(price=100, limits=limits))
    assert refusal.value.retry_seconds == pytest.approx(41.0)


async def test_repeated_request_takes_from_no_bucket(store: ClockedStore) -> None:
    bucket = RateBucket("credits:tenant:alice", units_per_second=1, burst=1000)
    submission = make_submission(
        price=1000, request_id="r", limits=SpendingLimits(credit_buckets=(bucket,))
    )
    first, again = await store.submit(submission), await store.submit(submission)
    assert first.name == again.name
