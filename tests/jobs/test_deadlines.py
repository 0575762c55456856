"""Videos that must start within a time."""

import asyncio

import pytest
from redis.asyncio import Redis
from submissions import claim, claim_next, make_submission

from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.v1 import video_pb2

from .ledger import QUEUE

AT_ONCE = 0.001
FAILED, QUEUED = video_pb2.Video.STATE_FAILED, video_pb2.Video.STATE_QUEUED


async def submit_late(store: JobStore, tenant: str = "alice") -> str:
    name = (await store.submit(make_submission(tenant, start_within_seconds=AT_ONCE))).name
    await asyncio.sleep(2 * AT_ONCE)
    return name


async def test_video_that_was_never_claimed_fails_after_its_deadline(
    store: JobStore, client: Redis
) -> None:
    name = await submit_late(store)
    in_time = await store.submit(make_submission(start_within_seconds=60.0))
    assert await store.expire_deadlines() == 1
    assert await store.expire_deadlines() == 0
    video = await store.get(name)
    assert video.state == FAILED
    assert video.failure.reason == "START_DEADLINE_EXCEEDED"
    assert video.HasField("end_time")
    assert (await EventLog(client).read(name))[-1].state_changed.failure == video.failure
    assert (await store.get(in_time.name)).state == QUEUED


async def test_overdue_video_is_not_claimed_though_nobody_has_ended_it(store: JobStore) -> None:
    overdue = [await submit_late(store) for _ in range(3)]
    video = await store.submit(make_submission())
    assert (await claim_next(store)).video.name == video.name
    assert [(await store.get(name)).state for name in overdue] == [FAILED] * 3
    assert await store.expire_deadlines() == 0


async def test_overdue_videos_alone_leave_nothing_to_claim(store: JobStore) -> None:
    await submit_late(store)
    assert await claim(store) is None


async def test_video_once_claimed_has_no_deadline_any_more(store: JobStore) -> None:
    await store.submit(make_submission(start_within_seconds=0.2))
    lease = (await claim_next(store)).lease
    await asyncio.sleep(0.25)
    await store.requeue(lease, reason="DRAINING")
    assert await store.expire_deadlines() == 0
    assert (await claim_next(store)).video.name == lease.video_name


async def test_deadline_waits_while_the_video_is_paused(store: JobStore) -> None:
    name = (await store.submit(make_submission(start_within_seconds=0.05))).name
    await store.pause(name)
    await asyncio.sleep(0.1)
    assert await store.expire_deadlines() == 0
    await store.resume(name)
    assert await store.expire_deadlines() == 1
    assert (await store.get(name)).state == FAILED


@pytest.mark.parametrize("call", ["cancel", "claim", "pause"])
async def test_no_deadline_is_kept_of_what_no_longer_waits(
    store: JobStore, client: Redis, call: str
) -> None:
    name = (await store.submit(make_submission(start_within_seconds=60.0))).name
    assert await client.zcard(f"{QUEUE}:deadlines") == 1
    match call:
        case "claim":
            await claim_next(store)
        case _:
            await getattr(store, call)(name)
    assert await client.zcard(f"{QUEUE}:deadlines") == 0
