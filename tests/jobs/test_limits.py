"""How much may wait and run, of all tenants and of one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from submissions import claim, claim_next, end_slice, make_submission

from telecine.errors import QueueFullError, QuotaExceededError, RateLimitedError
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import (
    Lease,
    QueueLimits,
    RateBucket,
    SpendingLimits,
    Submission,
    Verdict,
    VideoQuery,
)
from telecine.v1 import video_pb2

PREMIUM = video_pb2.TIER_PREMIUM


async def all_of(store: JobStore) -> Sequence[video_pb2.Video]:
    return (await store.list_videos(VideoQuery("alice", page_size=100))).videos


async def claimed_names(store: JobStore) -> list[str]:
    """Claims until nothing is left to claim."""
    names = []
    while assignment := await claim(store):
        names.append(assignment.video.name)
    return names


async def test_tenant_that_fills_its_own_queue_leaves_room_for_others(client: Redis) -> None:
    store = JobStore(client, limits=QueueLimits(max_queued=3, max_queued_per_tenant=2))
    await store.submit(make_submission("alice", request_id="r1"))
    await store.submit(make_submission("alice", tier=PREMIUM))
    with pytest.raises(QueueFullError, match="2 of your videos") as refusal:
        await store.submit(make_submission("alice"))
    assert refusal.value.retry_seconds > 0
    await store.submit(make_submission("alice", request_id="r1"))
    await store.submit(make_submission("bob"))
    with pytest.raises(QueueFullError, match="3 videos"):
        await store.submit(make_submission("carol"))
    assert await claim(store)
    await store.submit(make_submission("carol"))


def several(num_videos: int, **fields: Any) -> list[Submission]:
    submission = make_submission("alice", price=100, **fields)
    return [replace(submission, request_id=f"r{number}") for number in range(num_videos)]


@pytest.mark.parametrize(
    ("queue", "spending"),
    [
        (QueueLimits(max_queued=3), SpendingLimits()),
        (QueueLimits(max_queued_per_tenant=3), SpendingLimits()),
        (QueueLimits(), SpendingLimits(max_open_videos=3)),
        (QueueLimits(), SpendingLimits(daily_microcredits=399)),
        (QueueLimits(), SpendingLimits(credit_buckets=(RateBucket("credits", 0.001, 399),))),
    ],
)
async def test_of_several_videos_all_or_none_are_queued(
    client: Redis, queue: QueueLimits, spending: SpendingLimits
) -> None:
    store = JobStore(client, limits=queue)
    made = await store.submit_all(several(2, limits=spending))
    with pytest.raises((QueueFullError, QuotaExceededError, RateLimitedError)):
        await store.submit_all([make_submission("alice", price=100, limits=spending)] * 2)
    assert {video.name for video in await all_of(store)} == {video.name for video in made}
    third = await store.submit_all(several(3, limits=spending))
    assert [video.name for video in third[:2]] == [video.name for video in made]
    assert len(await all_of(store)) == 3


async def test_refused_repeat_leaves_what_the_first_call_made(client: Redis) -> None:
    made = await JobStore(client).submit_all(several(3))
    await JobStore(client).cancel(made[1].name)
    await JobStore(client).delete(made[1].name)
    with pytest.raises(QueueFullError):
        await JobStore(client, limits=QueueLimits(max_queued=2)).submit_all(several(3))
    assert {video.name for video in await all_of(JobStore(client))} == {
        made[0].name,
        made[2].name,
    }
    again = await JobStore(client).submit_all(several(3))
    assert (again[0], again[2].name) == (made[0], made[2].name)
    assert again[1].name != made[1].name


async def test_paused_videos_take_no_place_in_the_queue(client: Redis) -> None:
    store = JobStore(client, limits=QueueLimits(max_queued_per_tenant=1))
    paused = await store.submit(make_submission())
    await store.pause(paused.name)
    await store.submit(make_submission())
    await store.resume(paused.name)
    with pytest.raises(QueueFullError):
        await store.submit(make_submission())


async def test_tenant_that_runs_as_much_as_it_may_waits_and_others_do_not(client: Redis) -> None:
    store = JobStore(client, limits=QueueLimits(max_running_per_tenant=2))
    alice = [
        (await store.submit(make_submission("alice", tier=tier))).name
        for tier in (PREMIUM, video_pb2.TIER_STANDARD)
        for _ in range(2)
    ]
    bob = [(await store.submit(make_submission("bob"))).name for _ in range(2)]
    claimed = await claimed_names(store)
    assert len(set(claimed) & set(alice)) == 2
    assert set(bob) <= set(claimed)


async def endings(store: JobStore, lease: Lease, ending: str) -> None:
    match ending:
        case "complete":
            await store.complete(lease, [])
        case "requeue":
            await store.requeue(lease, reason="DRAINING")
        case "cancel":
            await store.acknowledge_cancel(lease)
        case "pause":
            await store.pause(lease.video_name)
            await store.acknowledge_pause(lease)
        case "lose":
            await store.heartbeat(Lease(lease.video_name, lease.token, lease.worker_id, 0.0))
            assert await store.expire_leases() == 1


@pytest.mark.parametrize("ending", ["complete", "requeue", "cancel", "pause", "lose"])
async def test_held_tenant_comes_back_when_one_of_its_videos_leaves_its_worker(
    client: Redis, ending: str
) -> None:
    store = JobStore(client, limits=QueueLimits(max_running_per_tenant=1))
    for tier in (PREMIUM, video_pb2.TIER_STANDARD):
        for model in ("toybox", "other"):
            await store.submit(make_submission("alice", tier=tier, model=f"models/{model}"))
    lease = (await claim_next(store)).lease
    assert await claim(store) is None
    await store.wait_for_work(0.05)
    await endings(store, lease, ending)
    await store.wait_for_work(60.0)
    assert len(await claimed_names(store)) == 1
    await store.close()


async def test_held_tenant_saves_up_no_share(client: Redis) -> None:
    store = JobStore(client, limits=QueueLimits(max_running_per_tenant=1), quantum_seconds=0.0)
    for _ in range(3):
        await store.submit(make_submission("alice"))
    bob = [(await store.submit(make_submission("bob"))).name for _ in range(6)]
    alice = (await claim_next(store)).lease
    for _ in range(2):
        lease = (await claim_next(store)).lease
        for step_index in (5, 10, 15, 20):
            assert await end_slice(store, lease, step_index) is Verdict.CONTINUE
        await store.complete(lease, [])
    await store.complete(alice, [], gpu_seconds=2.0)
    # Bob used eight slices while Alice ran her one; she does not run eight in a row now.
    alice = (await claim_next(store)).lease
    assert alice.video_name not in bob
    assert await end_slice(store, alice, 5) is Verdict.CONTINUE
    assert await end_slice(store, alice, 10) is Verdict.YIELD


async def test_position_of_a_held_video_is_that_of_the_order(client: Redis) -> None:
    store = JobStore(client, limits=QueueLimits(max_running_per_tenant=1))
    names = [(await store.submit(make_submission("alice"))).name for _ in range(3)]
    await claim_next(store)
    assert [(await store.get(name)).queue_position for name in names[1:]] == [0, 1]
