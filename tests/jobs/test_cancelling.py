"""A cancel finds a video wherever it is, and it never runs again."""

from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis
from submissions import claim, claim_next, lose_lease, make_step, make_submission, states_logged

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Lease
from telecine.v1 import video_pb2

QUEUED = video_pb2.Video.STATE_QUEUED
RUNNING = video_pb2.Video.STATE_RUNNING
CANCELLED = video_pb2.Video.STATE_CANCELLED
FAILURE = video_pb2.Failure(reason="MODEL_FAILED", message="it did", log_id="7")
ENDINGS: dict[str, Callable[[JobStore, Lease], Awaitable[object]]] = {
    "complete": lambda store, lease: store.complete(lease, []),
    "fail": lambda store, lease: store.fail(lease, FAILURE),
    "acknowledge_cancel": lambda store, lease: store.acknowledge_cancel(lease),
}


async def test_cancelled_while_queued_ends_at_once_and_is_never_claimed(
    store: JobStore, client: Redis
) -> None:
    video = await store.submit(make_submission())
    cancelled = await store.cancel(video.name)
    assert cancelled.state == CANCELLED
    assert cancelled.HasField("end_time")
    assert await claim(store) is None
    assert await states_logged(client, video.name) == [QUEUED, CANCELLED]


async def test_cancelled_while_running_is_told_to_its_worker(store: JobStore) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    assert not (await store.finish_step(lease, make_step(1))).is_cancelled
    assert (await store.cancel(lease.video_name)).state == RUNNING
    assert (await store.finish_step(lease, make_step(2))).is_cancelled
    assert (await store.heartbeat(lease)).is_cancelled
    assert (await store.acknowledge_cancel(lease)).state == CANCELLED


@pytest.mark.parametrize("ending", ENDINGS)
async def test_cancelling_what_has_ended_changes_nothing(store: JobStore, ending: str) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    ended = await ENDINGS[ending](store, lease)
    assert await store.cancel(lease.video_name) == ended


async def test_cancelled_video_that_is_handed_back_or_lost_is_not_run_again(
    store: JobStore,
) -> None:
    for _ in range(2):
        await store.submit(make_submission())
    handed_back, lost = (await claim_next(store)).lease, (await claim_next(store)).lease
    for lease in (handed_back, lost):
        await store.cancel(lease.video_name)
    assert (await store.requeue(handed_back, reason="DRAINING")).state == CANCELLED
    await lose_lease(store, lost)
    assert (await store.get(lost.video_name)).state == CANCELLED
