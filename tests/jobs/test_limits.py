"""How much may wait and run, of all tenants and of one."""

import pytest
from redis.asyncio import Redis
from submissions import claim, claim_next, end_slice, make_submission

from telecine.errors import QueueFullError
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Lease, QueueLimits, Verdict
from telecine.v1 import video_pb2

PREMIUM = video_pb2.TIER_PREMIUM


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
