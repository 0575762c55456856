"""Videos that their owner sets aside, and goes on with."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis
from submissions import claim, claim_next, end_slice, make_step, make_submission

from telecine.errors import NotFoundError, VideoStateError
from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Lease, Verdict
from telecine.v1 import video_pb2

from .ledger import QUEUE

QUEUED = video_pb2.Video.STATE_QUEUED
RUNNING = video_pb2.Video.STATE_RUNNING
PAUSED = video_pb2.Video.STATE_PAUSED
CANCELLED = video_pb2.Video.STATE_CANCELLED


async def pause_running(store: JobStore) -> Lease:
    """Pauses a video after its first slice."""
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    await store.pause(lease.video_name)
    assert await end_slice(store, lease, 5) is Verdict.PAUSE
    await store.acknowledge_pause(lease)
    return lease


async def test_queued_video_is_set_aside_at_once_and_comes_back_to_its_place(
    store: JobStore, client: Redis
) -> None:
    names = [(await store.submit(make_submission())).name for _ in range(3)]
    for _ in range(2):
        paused = await store.pause(names[0])
        assert paused.state == PAUSED
        assert not paused.HasField("queue_position")
    assert (await store.get(names[1])).queue_position == 0
    for _ in range(2):
        resumed = await store.resume(names[0])
        assert (resumed.state, resumed.queue_position) == (QUEUED, 0)
    assert [(await claim_next(store)).video.name for _ in names] == names
    events = await EventLog(client).read(names[0])
    states = [event.state_changed.state for event in events if event.HasField("state_changed")]
    assert states == [QUEUED, PAUSED, QUEUED, RUNNING]


async def test_running_video_is_set_aside_after_its_slice_and_keeps_it(store: JobStore) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    assert not (await store.finish_step(lease, make_step(1))).is_pause_requested
    assert (await store.pause(lease.video_name)).state == RUNNING
    assert (await store.finish_step(lease, make_step(2))).is_pause_requested
    assert await end_slice(store, lease, 5) is Verdict.PAUSE
    for _ in range(2):
        paused = await store.acknowledge_pause(lease)
        assert (paused.state, paused.step_index) == (PAUSED, 5)
    assert await claim(store) is None
    await store.resume(lease.video_name)
    resumed = await claim_next(store)
    assert resumed.checkpoints[0].step_index == 5
    assert await end_slice(store, resumed.lease, 10) is Verdict.CONTINUE


async def test_pause_taken_back_in_time_never_happens(store: JobStore) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    await store.pause(lease.video_name)
    assert (await store.resume(lease.video_name)).state == RUNNING
    assert await end_slice(store, lease, 5) is Verdict.CONTINUE


async def test_pause_taken_back_too_late_for_its_worker_queues_the_video(store: JobStore) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    await store.pause(lease.video_name)
    assert await end_slice(store, lease, 5) is Verdict.PAUSE
    await store.resume(lease.video_name)
    assert (await store.acknowledge_pause(lease)).state == QUEUED


@pytest.mark.parametrize("how", ["requeue", "lose"])
async def test_video_to_be_paused_that_is_handed_back_or_lost_is_paused(
    store: JobStore, how: str
) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    await store.pause(lease.video_name)
    if how == "requeue":
        await store.requeue(lease, reason="DRAINING")
    else:
        await store.heartbeat(replace(lease, lease_seconds=0.0))
        await store.expire_leases()
    assert (await store.get(lease.video_name)).state == PAUSED
    assert await claim(store) is None


async def test_paused_video_is_cancelled_at_once(store: JobStore) -> None:
    lease = await pause_running(store)
    cancelled = await store.cancel(lease.video_name)
    assert cancelled.state == CANCELLED
    assert cancelled.HasField("end_time")
    await store.delete(lease.video_name)


async def test_cancel_goes_before_a_pause(store: JobStore) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    await store.pause(lease.video_name)
    await store.cancel(lease.video_name)
    assert await end_slice(store, lease, 5) is Verdict.CANCEL
    assert (await store.acknowledge_pause(lease)).state == CANCELLED


async def test_only_ended_videos_are_deleted_and_paused_ones_have_not(store: JobStore) -> None:
    lease = await pause_running(store)
    with pytest.raises(VideoStateError) as refusal:
        await store.delete(lease.video_name)
    assert refusal.value.state == "PAUSED"


async def test_ended_videos_can_be_neither_paused_nor_resumed(store: JobStore) -> None:
    name = (await store.submit(make_submission())).name
    await store.cancel(name)
    for call in (store.pause, store.resume):
        with pytest.raises(VideoStateError) as refusal:
            await call(name)
        assert refusal.value.state == "CANCELLED"
        with pytest.raises(NotFoundError):
            await call("videos/none")


async def test_video_comes_back_though_its_flow_was_forgotten_meanwhile(
    store: JobStore, client: Redis
) -> None:
    lease = await pause_running(store)
    assert await client.ttl(f"{QUEUE}:flow:standard:alice") > 0
    await client.delete(f"{QUEUE}:flow:standard:alice", f"{QUEUE}:tenant:alice")
    await store.resume(lease.video_name)
    resumed = (await claim_next(store)).lease
    assert await end_slice(store, resumed, 10) is Verdict.CONTINUE
    assert await client.ttl(f"{QUEUE}:flow:standard:alice") == -1
