"""Which videos a worker is given: by what it can make, and once for each of its claims."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis
from submissions import (
    CAPABILITY,
    MODEL,
    SLICE_SECONDS,
    SLICE_STEPS,
    claim,
    claim_next,
    end_slice,
    make_submission,
)

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment, Verdict
from telecine.v1 import video_pb2

from .ledger import QUEUE, charged_seconds, virtual_times

GIB = 1 << 30
BOTH = replace(CAPABILITY, models=(MODEL, "other"), loaded_models=(MODEL, "other"))


async def repeat_claim(
    store: JobStore, claim_id: str, *, lease_seconds: float = 60.0
) -> Assignment | None:
    return await store.claim(
        "worker-1",
        capability=CAPABILITY,
        slice_steps=SLICE_STEPS,
        lease_seconds=lease_seconds,
        claim_id=claim_id,
    )


async def test_claim_whose_answer_was_lost_gives_the_same_assignment(
    store: JobStore, client: Redis
) -> None:
    for _ in range(2):
        await store.submit(make_submission())
    first = await repeat_claim(store, "c1")
    assert first is not None
    assert await repeat_claim(store, "c1") == first
    assert await charged_seconds(client, "standard:alice") == pytest.approx(SLICE_SECONDS)
    second = await repeat_claim(store, "c2")
    assert second is not None
    assert second.video.name != first.video.name
    assert await repeat_claim(store, "c1") == first


async def test_repeated_claim_extends_the_lease(store: JobStore) -> None:
    await store.submit(make_submission())
    first = await repeat_claim(store, "c1", lease_seconds=0.0)
    assert first is not None
    await repeat_claim(store, "c1", lease_seconds=60.0)
    assert await store.expire_leases() == 0


@pytest.mark.parametrize("ending", ["lose", "complete"])
async def test_claim_repeated_after_its_lease_is_a_new_one(
    store: JobStore, client: Redis, ending: str
) -> None:
    first_name = (await store.submit(make_submission())).name
    first = await repeat_claim(store, "c1")
    assert first is not None
    if ending == "lose":
        await store.heartbeat(replace(first.lease, lease_seconds=0.0))
        await store.expire_leases()
        again = await repeat_claim(store, "c1")
        assert again is not None
        assert again.video.name == first_name
        assert again.lease.token > first.lease.token
    else:
        await store.complete(first.lease, [])
        assert await repeat_claim(store, "c1") is None
        assert not await client.exists(f"{QUEUE}:claims")


async def test_video_goes_only_to_a_worker_with_the_memory_for_it(store: JobStore) -> None:
    large = await store.submit(make_submission("alice", memory_bytes=5 * GIB - 1))
    small = await store.submit(make_submission("bob", memory_bytes=1))
    weak = replace(CAPABILITY, memory_bytes=4 * GIB)
    assignment = await claim(store, capability=weak)
    assert assignment is not None
    assert assignment.video.name == small.name
    assert await claim(store, capability=weak) is None
    strong = replace(CAPABILITY, memory_bytes=5 * GIB)
    assignment = await claim(store, capability=strong)
    assert assignment is not None
    assert assignment.video.name == large.name


async def test_flow_whose_first_video_this_worker_cannot_make_gives_it_the_next(
    store: JobStore,
) -> None:
    await store.submit(make_submission(model="models/other"))
    await store.submit(make_submission(memory_bytes=100 * GIB))
    mine = await store.submit(make_submission())
    assignment = await claim(store, capability=replace(CAPABILITY, memory_bytes=GIB))
    assert assignment is not None
    assert assignment.video.name == mine.name


async def test_videos_of_all_its_models_are_claimed_in_one_order(store: JobStore) -> None:
    names = [
        (await store.submit(make_submission(tenant, model=f"models/{model}"))).name
        for tenant, model in (("a", MODEL), ("b", "other"), ("c", MODEL), ("d", "other"))
    ]
    claimed = [await claim(store, capability=BOTH) for _ in names]
    assert [assignment and assignment.video.name for assignment in claimed] == names


async def test_use_of_one_model_counts_against_a_flow_at_the_other(store: JobStore) -> None:
    for _ in range(4):
        await store.submit(make_submission("alice"))
    await claim(store, capability=BOTH)
    await claim(store, capability=BOTH)
    alice = await store.submit(make_submission("alice", model="models/other"))
    bob = await store.submit(make_submission("bob", model="models/other"))
    only_other = replace(CAPABILITY, models=("other",), loaded_models=("other",))
    # The pool is new: nobody has used anything there.
    assignment = await claim(store, capability=only_other)
    assert assignment is not None
    assert assignment.video.name == alice.name
    await store.requeue(assignment.lease, reason="DRAINING")
    await claim(store, capability=BOTH)
    assignment = await claim(store, capability=only_other)
    assert assignment is not None
    assert assignment.video.name == bob.name


async def test_switch_to_a_model_that_is_not_loaded_must_be_worth_a_quantum(
    client: Redis,
) -> None:
    store = JobStore(client, quantum_seconds=3 * SLICE_SECONDS)
    cold = replace(BOTH, loaded_models=(MODEL,))
    other = await store.submit(make_submission("bob", model="models/other"))
    alice = [(await store.submit(make_submission("alice"))).name for _ in range(5)]
    claimed = []
    while other.name not in claimed:
        assignment = await claim(store, capability=cold)
        assert assignment is not None
        claimed.append(assignment.video.name)
    assert claimed == [*alice[:3], other.name]


async def test_switch_to_another_model_counts_when_a_video_is_to_give_way(client: Redis) -> None:
    store = JobStore(client, quantum_seconds=SLICE_SECONDS)
    await store.submit(make_submission("bob", model="models/other"))
    await store.submit(make_submission("alice"))
    assignment = await claim(store, capability=replace(BOTH, models=(MODEL,)))
    assert assignment is not None
    cold = replace(BOTH, loaded_models=(MODEL,))
    verdicts = [
        await end_slice(store, assignment.lease, step_index, capability=cold)
        for step_index in (5, 10, 15)
    ]
    assert verdicts == [Verdict.CONTINUE, Verdict.CONTINUE, Verdict.YIELD]


async def test_clock_of_a_pool_that_nobody_serves_stands_still(
    store: JobStore, client: Redis
) -> None:
    unserved = await store.submit(make_submission("alice", model="models/other"))
    for _ in range(6):
        await store.submit(make_submission("bob"))
    for _ in range(5):
        await claim_next(store)
    times = await virtual_times(client)
    assert times["toybox:0"] > 0
    assert times["other:0"] == 0
    # A worker that now comes for both gives Alice no more than her turn.
    await store.submit(make_submission("alice", model="models/other"))
    claimed = [await claim(store, capability=BOTH) for _ in range(3)]
    owners = [assignment.video.name for assignment in claimed if assignment]
    assert owners[0] == unserved.name
    assert len({assignment.video.spec.model for assignment in claimed if assignment}) == 2


async def test_realtime_goes_first_at_a_claim(store: JobStore) -> None:
    for _ in range(2):
        await store.submit(make_submission("alice", tier=video_pb2.TIER_PREMIUM))
    live = await store.submit(make_submission("bob", tier=video_pb2.TIER_REALTIME))
    assert live.queue_position == 0
    assert (await claim_next(store)).video.name == live.name


async def test_expected_start_counts_the_work_ahead_and_the_workers_there_are(
    store: JobStore, client: Redis
) -> None:
    first = await store.submit(make_submission())
    assert not first.HasField("estimated_start_time")
    for worker_id in ("a", "b"):
        await client.zadd(f"{QUEUE}:alive:{MODEL}", {worker_id: 4e15})
    await client.zadd(f"{QUEUE}:alive:{MODEL}", {"lost": 1.0})
    first = await store.get(first.name)
    assert first.estimated_start_time.ToMicroseconds() >= first.create_time.ToMicroseconds()
    second = await store.submit(make_submission("bob"))
    # 20 steps of ten units at 0.04 s are ahead, and two workers share them.
    waits = second.estimated_start_time.ToMicroseconds() - second.create_time.ToMicroseconds()
    assert waits == pytest.approx(4e6, rel=1e-3)
    lease = (await claim_next(store)).lease
    await end_slice(store, lease, 5)
    second = await store.get(second.name)
    waits = second.estimated_start_time.ToMicroseconds() - second.create_time.ToMicroseconds()
    assert 3e6 <= waits < 4e6
