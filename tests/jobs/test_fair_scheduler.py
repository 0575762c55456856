"""The order in which videos of several tenants and tiers are claimed."""

from collections import Counter
from collections.abc import Mapping

import pytest
from submissions import CAPABILITY, SLICE_STEPS, claim, claim_next, make_submission

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import CheckpointPointer, SliceReport, Verdict
from telecine.v1 import video_pb2


async def submit_many(store: JobStore, tenant: str, count: int, **spec: object) -> list[str]:
    return [(await store.submit(make_submission(tenant, **spec))).name for _ in range(count)]


async def claim_tenants(
    store: JobStore, owners: dict[str, str], count: int, *, seconds: Mapping[str, float] = {}
) -> list[str]:
    """Makes videos one after the other, each in one go of 10 GPU seconds; returns whose."""
    claimed = []
    for _ in range(count):
        assignment = await claim_next(store)
        owner = owners[assignment.video.name]
        claimed.append(owner)
        await store.complete(assignment.lease, [], gpu_seconds=seconds.get(owner, 10.0))
    return claimed


def owned(names: list[str], owner: str) -> dict[str, str]:
    return dict.fromkeys(names, owner)


async def test_a_tenant_with_many_videos_alternates_with_one_that_came_later(
    store: JobStore,
) -> None:
    owners = owned(await submit_many(store, "alice", 10), "alice")
    owners |= owned(await submit_many(store, "bob", 5), "bob")
    order = await claim_tenants(store, owners, 10)
    assert order == ["alice", "bob"] * 5


async def test_videos_of_one_flow_keep_their_order(store: JobStore) -> None:
    names = await submit_many(store, "alice", 5)
    claimed = [(await claim_next(store)).video.name for _ in names]
    assert claimed == names


async def test_tiers_share_by_their_weights(store: JobStore) -> None:
    store._tier_weights = {video_pb2.TIER_PREMIUM: 3.0, video_pb2.TIER_STANDARD: 1.0}
    owners = owned(await submit_many(store, "a", 40, tier=video_pb2.TIER_PREMIUM), "premium")
    owners |= owned(await submit_many(store, "b", 40, tier=video_pb2.TIER_STANDARD), "standard")
    for served in (8, 16, 24):
        order = Counter(await claim_tenants(store, owners, 8))
        assert order == {"premium": 6, "standard": 2}, served


async def test_shares_are_of_cost_and_not_of_count(store: JobStore) -> None:
    long = [(await store.submit(make_submission("alice", step_units=40.0))).name for _ in range(5)]
    owners = owned(long, "alice") | owned(await submit_many(store, "bob", 20), "bob")
    order = Counter(await claim_tenants(store, owners, 20, seconds={"alice": 40.0}))
    assert order == {"alice": 4, "bob": 16}


async def test_an_idle_tenant_saves_up_no_share(store: JobStore) -> None:
    owners = owned(await submit_many(store, "alice", 10), "alice")
    await claim_tenants(store, owners, 6)
    owners |= owned(await submit_many(store, "bob", 4), "bob")
    order = await claim_tenants(store, owners, 8)
    assert order.count("bob") == 4
    assert "bob bob" not in " ".join(order)


async def test_a_tenant_is_not_charged_for_what_it_used_while_none_else_waited(
    store: JobStore,
) -> None:
    owners = owned(await submit_many(store, "alice", 10), "alice")
    await claim_tenants(store, owners, 10)
    owners |= owned(await submit_many(store, "bob", 2), "bob")
    owners |= owned(await submit_many(store, "alice", 2), "alice")
    assert await claim_tenants(store, owners, 4) == ["bob", "alice", "bob", "alice"]


async def test_a_cancelled_head_leaves_no_tag_behind(store: JobStore) -> None:
    costly = await store.submit(make_submission("alice", step_units=1000.0))
    owners = owned(await submit_many(store, "alice", 2), "alice")
    owners |= owned(await submit_many(store, "bob", 2), "bob")
    await store.cancel(costly.name)
    assert await claim_tenants(store, owners, 4) == ["alice", "bob", "alice", "bob"]


async def test_work_handed_back_is_charged_only_for_what_was_kept(store: JobStore) -> None:
    alice = await submit_many(store, "alice", 2)
    bob = await submit_many(store, "bob", 2)
    lease = (await claim_next(store)).lease
    report = SliceReport(5, 5, 1.0, CheckpointPointer("v/1-5.ckpt", 5, "sha256:22", 100))
    verdict = await store.finish_slice(
        lease, report, capability=CAPABILITY, slice_steps=SLICE_STEPS
    )
    assert verdict is Verdict.CONTINUE
    await store.requeue(lease, reason="DRAINING")
    # Alice has used one second, and a slice is charged with about one.
    order = [(await claim_next(store)).video.name for _ in range(4)]
    assert order == [bob[0], alice[0], bob[1], alice[1]]


async def test_position_counts_who_will_be_claimed_before(store: JobStore) -> None:
    names = await submit_many(store, "alice", 4)
    names += await submit_many(store, "bob", 2)
    names += await submit_many(store, "carol", 1, tier=video_pb2.TIER_PREMIUM)
    positions = {name: (await store.get(name)).queue_position for name in names}
    order = [(await claim_next(store)).video.name for _ in names]
    assert [positions[name] for name in order] == list(range(len(names)))


async def test_position_among_very_many_flows_is_still_that_of_the_order(store: JobStore) -> None:
    names = [(await store.submit(make_submission(f"tenant-{n:03d}"))).name for n in range(150)]
    last = await store.get(names[-1])
    assert last.queue_position == 149
    order = [(await claim_next(store)).video.name for _ in names]
    assert order == names


async def test_position_falls_as_those_ahead_go(store: JobStore) -> None:
    names = await submit_many(store, "alice", 3)
    assert [(await store.get(name)).queue_position for name in names] == [0, 1, 2]
    await store.cancel(names[1])
    assert (await store.get(names[2])).queue_position == 1
    await claim_next(store)
    assert (await store.get(names[2])).queue_position == 0


async def test_a_flow_whose_model_none_serves_does_not_hold_up_others(store: JobStore) -> None:
    await submit_many(store, "alice", 3, model="models/unserved")
    bob = await submit_many(store, "bob", 3)
    assert [(await claim_next(store)).video.name for _ in bob] == bob
    assert await claim(store) is None


@pytest.mark.parametrize("step_units", [0.0, -1.0])
async def test_work_that_claims_to_cost_nothing_still_moves_its_flow_on(
    store: JobStore, step_units: float
) -> None:
    for _ in range(3):
        await store.submit(make_submission("alice", step_units=step_units))
    bob = await store.submit(make_submission("bob"))
    claimed = [(await claim_next(store)).video.name for _ in range(2)]
    assert bob.name in claimed
