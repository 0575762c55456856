"""Slices: what each is charged, and what its worker is told to do next."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis
from submissions import (
    CAPABILITY,
    NUM_STEPS,
    SLICE_SECONDS,
    SLICE_STEPS,
    claim,
    claim_next,
    end_slice,
    make_pointer,
    make_step,
    make_submission,
)

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Lease, SliceReport, Verdict
from telecine.v1 import video_pb2

from .ledger import charged_seconds, open_charge, virtual_times

ALICE = "standard:alice"
ENDS = range(SLICE_STEPS, NUM_STEPS + 1, SLICE_STEPS)
BATCH, REALTIME = video_pb2.TIER_BATCH, video_pb2.TIER_REALTIME


@pytest.fixture
def eager(client: Redis) -> JobStore:
    """A store in which a video that is ahead by anything gives way."""
    return JobStore(client, quantum_seconds=0.0)


async def lose_lease(store: JobStore, lease: Lease) -> None:
    await store.heartbeat(replace(lease, lease_seconds=0.0))
    assert await store.expire_leases() == 1


async def test_video_alone_goes_on_and_its_flow_pays_what_was_used(
    store: JobStore, client: Redis
) -> None:
    name = (await store.submit(make_submission())).name
    lease = (await claim_next(store)).lease
    for step_index, gpu_seconds in zip(ENDS, (1.5, 2.5, 4.0, 1.0), strict=True):
        assert await open_charge(client, name) > 0
        verdict = await end_slice(store, lease, step_index, gpu_seconds=gpu_seconds)
        assert verdict is Verdict.CONTINUE
    assert await open_charge(client, name) == 0
    assert (await store.get(name)).step_index == NUM_STEPS
    await store.complete(lease, [], gpu_seconds=0.5)
    assert await charged_seconds(client, ALICE) == pytest.approx(9.5)


async def test_video_gives_way_once_it_is_ahead_by_more_than_the_quantum(store: JobStore) -> None:
    await store.submit(make_submission("alice"))
    bob = await store.submit(make_submission("bob"))
    lease = (await claim_next(store)).lease
    # Bob has used nothing; Alice must be ahead of him by more than a quantum, which is a slice.
    assert await end_slice(store, lease, 5) is Verdict.CONTINUE
    assert await end_slice(store, lease, 10) is Verdict.YIELD
    assert (await store.requeue(lease, reason="PREEMPTED")).step_index == 10
    assert (await claim_next(store)).video.name == bob.name
    resumed = await claim_next(store)
    assert resumed.video.name == lease.video_name
    assert resumed.checkpoints[0].step_index == 10


async def test_video_that_is_to_give_way_is_charged_for_no_next_slice(
    eager: JobStore, client: Redis
) -> None:
    await eager.submit(make_submission("alice"))
    await eager.submit(make_submission("bob"))
    lease = (await claim_next(eager)).lease
    assert await end_slice(eager, lease, 5) is Verdict.YIELD
    assert await charged_seconds(client, ALICE) == pytest.approx(SLICE_SECONDS)
    await eager.requeue(lease, reason="PREEMPTED")
    assert await charged_seconds(client, ALICE) == pytest.approx(SLICE_SECONDS)


async def test_slice_made_in_spite_of_the_verdict_is_charged(
    eager: JobStore, client: Redis
) -> None:
    await eager.submit(make_submission("alice"))
    await eager.submit(make_submission("bob"))
    lease = (await claim_next(eager)).lease
    for step_index in ENDS[:3]:
        assert await end_slice(eager, lease, step_index) is Verdict.YIELD
    assert await charged_seconds(client, ALICE) == pytest.approx(3 * SLICE_SECONDS)


async def test_video_gives_way_to_no_other_of_its_own_flow(eager: JobStore) -> None:
    for _ in range(3):
        await eager.submit(make_submission())
    lease = (await claim_next(eager)).lease
    for step_index in ENDS:
        assert await end_slice(eager, lease, step_index) is Verdict.CONTINUE


@pytest.mark.parametrize(("is_coming", "verdict"), [(False, "CONTINUE"), (True, "YIELD")])
async def test_slice_without_a_checkpoint_never_gives_way(
    eager: JobStore, *, is_coming: bool, verdict: str
) -> None:
    await eager.submit(make_submission("alice"))
    await eager.submit(make_submission("bob"))
    lease = (await claim_next(eager)).lease
    report = SliceReport(5, SLICE_STEPS, SLICE_SECONDS, None, is_checkpoint_coming=is_coming)
    assert (
        await eager.finish_slice(lease, report, capability=CAPABILITY, slice_steps=SLICE_STEPS)
        == verdict
    )


async def test_video_whose_steps_are_done_is_decoded_at_once(eager: JobStore) -> None:
    await eager.submit(make_submission("alice"))
    lease = (await claim_next(eager)).lease
    for step_index in ENDS[:-1]:
        await end_slice(eager, lease, step_index)
    await eager.submit(make_submission("bob"))
    assert await end_slice(eager, lease, NUM_STEPS) is Verdict.CONTINUE


async def test_last_step_of_a_slice_is_logged_with_it(store: JobStore) -> None:
    name = (await store.submit(make_submission())).name
    lease = (await claim_next(store)).lease
    for step_index in range(1, 5):
        await store.finish_step(lease, make_step(step_index))
    report = SliceReport(5, SLICE_STEPS, SLICE_SECONDS, make_pointer(5), last_step=make_step(5))
    await store.finish_slice(lease, report, capability=CAPABILITY, slice_steps=SLICE_STEPS)
    assert (await store.get(name)).step_index == 5


@pytest.mark.parametrize("tier", [BATCH, video_pb2.TIER_STANDARD, video_pb2.TIER_PREMIUM])
async def test_realtime_gets_the_next_slice_boundary_whatever_the_quantum(
    client: Redis, tier: video_pb2.Tier.ValueType
) -> None:
    store = JobStore(client, quantum_seconds=1000.0)
    await store.submit(make_submission("alice", tier=tier))
    lease = (await claim_next(store)).lease
    assert await end_slice(store, lease, 5) is Verdict.CONTINUE
    live = await store.submit(make_submission("bob", tier=REALTIME))
    assert await end_slice(store, lease, 10) is Verdict.YIELD
    await store.requeue(lease, reason="PREEMPTED")
    assert (await claim_next(store)).video.name == live.name


async def test_realtime_goes_on_within_its_share_and_queues_beyond_it(eager: JobStore) -> None:
    batch = (await eager.submit(make_submission("alice", tier=BATCH))).name
    for _ in range(30):
        await eager.submit(make_submission("bob", tier=REALTIME))
    served: list[str] = []
    while served.count("batch") < 2:
        assignment = await claim_next(eager)
        first = assignment.video.step_index + SLICE_STEPS
        for step_index in range(first, NUM_STEPS + 1, SLICE_STEPS):
            served.append("batch" if assignment.video.name == batch else "realtime")
            if await end_slice(eager, assignment.lease, step_index) is Verdict.YIELD:
                await eager.requeue(assignment.lease, reason="PREEMPTED")
                break
        else:
            await eager.complete(assignment.lease, [])
    # Sixteen slices to one, and one at the start that was on credit.
    first, second = [number for number, whose in enumerate(served) if whose == "batch"][:2]
    assert first <= 17
    assert 16 <= second - first <= 18


async def test_pause_and_cancel_are_told_at_the_end_of_a_slice(store: JobStore) -> None:
    name = (await store.submit(make_submission())).name
    lease = (await claim_next(store)).lease
    await store.pause(name)
    assert await end_slice(store, lease, 5) is Verdict.PAUSE
    await store.cancel(name)
    assert await end_slice(store, lease, 10) is Verdict.CANCEL


async def test_slice_repeated_after_a_lost_answer_is_charged_once(
    eager: JobStore, client: Redis
) -> None:
    name = (await eager.submit(make_submission("alice"))).name
    lease = (await claim_next(eager)).lease
    for _ in range(2):
        assert await end_slice(eager, lease, 5) is Verdict.CONTINUE
    assert await charged_seconds(client, ALICE) == pytest.approx(2 * SLICE_SECONDS)
    await eager.submit(make_submission("bob"))
    for _ in range(2):
        assert await end_slice(eager, lease, 10) is Verdict.YIELD
    assert await open_charge(client, name) == 0
    assert await charged_seconds(client, ALICE) == pytest.approx(2 * SLICE_SECONDS)


@pytest.mark.parametrize("ending", ["lose", "requeue", "fail"])
async def test_slice_that_broke_off_is_given_back_once(
    store: JobStore, client: Redis, ending: str
) -> None:
    name = (await store.submit(make_submission())).name
    lease = (await claim_next(store)).lease
    await end_slice(store, lease, 5)
    assert await charged_seconds(client, ALICE) == pytest.approx(2 * SLICE_SECONDS)
    match ending:
        case "lose":
            await lose_lease(store, lease)
        case "requeue":
            await store.requeue(lease, reason="DRAINING")
            await store.requeue(lease, reason="DRAINING")
        case "fail":
            await store.fail(lease, video_pb2.Failure(reason="MODEL_FAILED"))
    assert await charged_seconds(client, ALICE) == pytest.approx(SLICE_SECONDS)
    assert await open_charge(client, name) == 0


async def test_cancel_within_a_slice_is_charged_what_it_used(
    store: JobStore, client: Redis
) -> None:
    name = (await store.submit(make_submission())).name
    lease = (await claim_next(store)).lease
    await store.cancel(name)
    for _ in range(2):
        await store.acknowledge_cancel(lease, gpu_seconds=0.75)
    assert await charged_seconds(client, ALICE) == pytest.approx(0.75)


async def test_work_done_again_is_charged_to_nobody(store: JobStore, client: Redis) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    for step_index in (5, 10):  # whose checkpoints could not be written
        report = SliceReport(step_index, SLICE_STEPS, SLICE_SECONDS, None)
        await store.finish_slice(lease, report, capability=CAPABILITY, slice_steps=SLICE_STEPS)
    await lose_lease(store, lease)
    lease = (await claim_next(store)).lease
    for step_index in (5, 10):
        await end_slice(store, lease, step_index)
    await end_slice(store, lease, 15, gpu_seconds=3.0)
    await store.requeue(lease, reason="DRAINING")
    assert await charged_seconds(client, ALICE) == pytest.approx(2 * SLICE_SECONDS + 3.0)


async def test_cost_of_a_slice_is_learnt_for_each_model(store: JobStore, client: Redis) -> None:
    name = (await store.submit(make_submission())).name
    lease = (await claim_next(store)).lease
    assert await open_charge(client, name) == pytest.approx(SLICE_SECONDS)
    await end_slice(store, lease, 5, gpu_seconds=10.0)
    assert await open_charge(client, name) == pytest.approx(10.0)
    await end_slice(store, lease, 10, gpu_seconds=20.0)
    assert 10.0 < await open_charge(client, name) < 20.0
    small = await store.submit(make_submission("bob", step_units=1.0))
    await claim_next(store)
    assert await open_charge(client, small.name) == pytest.approx(
        await open_charge(client, name) / 10
    )
    other = await store.submit(make_submission("carol", model="models/other"))
    assert await claim(store, capability=replace(CAPABILITY, models=("other",))) is not None
    assert await open_charge(client, other.name) == pytest.approx(SLICE_SECONDS)


async def test_flow_whose_worker_was_lost_gets_its_turn_back_though_others_went_on(
    eager: JobStore, client: Redis
) -> None:
    for tenant in ("alice", "bob", "carol"):
        for _ in range(2):
            await eager.submit(make_submission(tenant))
    lost, bob = (await claim_next(eager)).lease, (await claim_next(eager)).lease
    assert await end_slice(eager, bob, 5) is Verdict.YIELD
    await eager.requeue(bob, reason="PREEMPTED")
    carol = (await claim_next(eager)).lease
    assert await end_slice(eager, carol, 5) is Verdict.CONTINUE
    # All have had a slice; virtual time has passed the start of the one that is lost now.
    assert (await virtual_times(client))["toybox:0"] > 0
    await lose_lease(eager, lost)
    next_ones = [(await claim_next(eager)).video.name for _ in range(3)]
    assert next_ones[0] == lost.video_name
    assert next_ones[2] == bob.video_name
    assert await charged_seconds(client, ALICE) == pytest.approx(2 * SLICE_SECONDS)


async def test_video_that_comes_late_starts_with_those_that_wait_longest(client: Redis) -> None:
    store = JobStore(client, quantum_seconds=100.0)
    await store.submit(make_submission("alice"))
    bob = [(await store.submit(make_submission("bob"))).name for _ in range(3)]
    lease = (await claim_next(store)).lease
    for step_index in ENDS[:3]:  # the quantum lets Alice go far ahead of Bob
        assert await end_slice(store, lease, step_index) is Verdict.CONTINUE
    carol = (await store.submit(make_submission("carol"))).name
    claimed = [(await claim_next(store)).video.name for _ in range(3)]
    assert claimed == [bob[0], carol, bob[1]]
