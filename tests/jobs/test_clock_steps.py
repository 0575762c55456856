"""A clock that is set forward or back: leases, tokens, times and ids go on as they should."""

from collections.abc import AsyncIterator

import pytest
from clocked_store import CLOCK_KEY, START_MICROS, ClockedStore, set_clock
from redis.asyncio import Redis
from submissions import claim_next, make_step, make_submission

from telecine.errors import LeaseLostError
from telecine.jobs.event_log import EventLog, parse_event_id
from telecine.jobs.job_types import VideoQuery
from telecine.v1 import video_pb2

SECOND_MICROS = 1_000_000
HOUR_MICROS = 3600 * SECOND_MICROS
LEASE_SECONDS = 10.0


@pytest.fixture
async def store(client: Redis) -> AsyncIterator[ClockedStore]:
    await set_clock(client, START_MICROS)
    clocked = ClockedStore(client)
    yield clocked
    await clocked.close()


async def step(client: Redis, micros: int) -> None:
    """Sets the clock forward, or back."""
    await client.incrby(CLOCK_KEY, micros)


async def test_lost_worker_is_missed_in_time_though_the_clock_went_back(
    store: ClockedStore, client: Redis
) -> None:
    await store.submit(make_submission())
    await claim_next(store, lease_seconds=LEASE_SECONDS)
    await step(client, -HOUR_MICROS)
    assert await store.expire_leases() == 0
    await step(client, int((LEASE_SECONDS - 1) * SECOND_MICROS))
    assert await store.expire_leases() == 0
    await step(client, 2 * SECOND_MICROS)
    assert await store.expire_leases() == 1


async def test_live_worker_keeps_its_video_though_the_clock_went_back(
    store: ClockedStore, client: Redis
) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store, lease_seconds=LEASE_SECONDS)).lease
    await step(client, -HOUR_MICROS)
    for _ in range(8):
        await step(client, int(LEASE_SECONDS / 2 * SECOND_MICROS))
        assert await store.expire_leases() == 0
        await store.heartbeat(lease)


async def test_clock_set_forward_takes_leases_but_lets_nobody_write_twice(
    store: ClockedStore, client: Redis
) -> None:
    name = (await store.submit(make_submission())).name
    first = (await claim_next(store, lease_seconds=LEASE_SECONDS)).lease
    await step(client, HOUR_MICROS)
    await store.heartbeat(first)  # it has run out and was not taken: still good
    assert await store.expire_leases() == 0
    await step(client, HOUR_MICROS)
    assert await store.expire_leases() == 1
    second = (await claim_next(store, lease_seconds=LEASE_SECONDS)).lease
    with pytest.raises(LeaseLostError):
        await store.complete(first, [])
    assert (await store.complete(second, [])).name == name


@pytest.mark.parametrize("micros", [-HOUR_MICROS, -1, 0, HOUR_MICROS])
async def test_tokens_times_and_event_ids_rise_whatever_the_clock_does(
    store: ClockedStore, client: Redis, micros: int
) -> None:
    tokens, names = [], []
    for _ in range(3):
        names.append((await store.submit(make_submission())).name)
        assignment = await claim_next(store)
        tokens.append(assignment.lease.token)
        await store.finish_step(assignment.lease, make_step(1, preview=b"x"))
        await step(client, micros)
        await store.finish_step(assignment.lease, make_step(2))
        await store.complete(assignment.lease, [])
    assert tokens == sorted(set(tokens))
    videos = (await store.list_videos(VideoQuery(tenant="alice"))).videos
    assert [video.name for video in videos] == names[::-1]
    created = [video.create_time.ToMicroseconds() for video in videos]
    assert created == sorted(set(created), reverse=True)
    for name in names:
        ids = [parse_event_id(e.event_id) for e in await EventLog(client).read(name)]
        assert ids == sorted(set(ids))
    for video in videos:
        assert all(timing.duration.ToMicroseconds() >= 0 for timing in video.timings)


async def test_start_deadline_outlives_a_clock_that_went_back(
    store: ClockedStore, client: Redis
) -> None:
    name = (await store.submit(make_submission(start_within_seconds=60.0))).name
    await step(client, -HOUR_MICROS)
    assert await store.expire_deadlines() == 0
    await step(client, HOUR_MICROS + 61 * SECOND_MICROS)
    assert await store.expire_deadlines() == 1
    assert (await store.get(name)).state == video_pb2.Video.STATE_FAILED
