"""No flow that waits gets further behind another than start-time fair queuing promises."""

import heapq
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from redis.asyncio import Redis
from submissions import (
    NUM_STEPS,
    SLICE_STEPS,
    claim_next,
    end_slice,
    make_submission,
)

from telecine.jobs.fair_scheduler import TIER_WEIGHTS, flow_name
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment, QueueLimits, Verdict
from telecine.v1 import video_pb2

from .ledger import charged_seconds

SECONDS_PER_UNIT = 0.04  # what the store assumes, and what slices here take
BATCH, STANDARD, PREMIUM = video_pb2.TIER_BATCH, video_pb2.TIER_STANDARD, video_pb2.TIER_PREMIUM
NO_LIMITS = QueueLimits(max_running_per_tenant=1000)


@dataclass(frozen=True)
class Flow:
    """A tenant whose videos all cost the same."""

    tenant: str
    tier: video_pb2.Tier.ValueType = STANDARD
    step_units: float = 10.0

    @property
    def name(self) -> str:
        return flow_name(self.tenant, self.tier)

    @property
    def weight(self) -> float:
        return TIER_WEIGHTS[self.tier]

    @property
    def slice_seconds(self) -> float:
        return SECONDS_PER_UNIT * self.step_units * SLICE_STEPS


@dataclass
class Scenario:
    """Workers that serve flows, all of which always have videos that wait."""

    flows: tuple[Flow, ...]
    num_workers: int = 1
    quantum_seconds: float = 1.0
    kill_every: int = 0  # every so manieth slice is lost with its worker's lease


SCENARIOS = {
    "alike": Scenario((Flow("a"), Flow("b"), Flow("c"))),
    "alike, three workers": Scenario((Flow("a"), Flow("b")), num_workers=3),
    "by tier": Scenario((Flow("a", BATCH), Flow("b"), Flow("c", PREMIUM)), num_workers=2),
    "by cost": Scenario((Flow("a", step_units=40.0), Flow("b", step_units=3.0)), num_workers=2),
    "no quantum": Scenario((Flow("a", PREMIUM), Flow("b", BATCH)), quantum_seconds=0.0),
    "large quantum": Scenario((Flow("a"), Flow("b", BATCH)), quantum_seconds=10.0),
    "lost workers": Scenario((Flow("a"), Flow("b", PREMIUM, 25.0)), num_workers=3, kill_every=3),
}


class Workers:
    """Makes the slices of a scenario in the order of their simulated ends."""

    def __init__(self, store: JobStore, scenario: Scenario) -> None:
        self.store = store
        self.scenario = scenario
        self.flows = {flow.tenant: flow for flow in scenario.flows}
        self.owners: dict[str, Flow] = {}
        self.served: Counter[str] = Counter()
        self.ends: list[tuple[float, int, Assignment, int]] = []
        self.num_slices = 0
        self.num_lost = 0

    async def submit(self, videos_each: int) -> None:
        for flow in self.scenario.flows:
            submission = make_submission(flow.tenant, tier=flow.tier, step_units=flow.step_units)
            for _ in range(videos_each):
                self.owners[(await self.store.submit(submission)).name] = flow

    async def run(self, num_slices: int) -> None:
        for _ in range(self.scenario.num_workers):
            await self.claim(0.0)
        while self.num_slices < num_slices:
            time, _, assignment, step_index = heapq.heappop(self.ends)
            await self.end(time, assignment, step_index)
            self.check()

    async def claim(self, time: float) -> None:
        assignment = await claim_next(self.store)
        self.begin(time, assignment, assignment.video.step_index)

    def begin(self, time: float, assignment: Assignment, step_index: int) -> None:
        self.num_slices += 1
        seconds = self.owners[assignment.video.name].slice_seconds
        entry = (time + seconds, self.num_slices, assignment, step_index + SLICE_STEPS)
        heapq.heappush(self.ends, entry)

    async def end(self, time: float, assignment: Assignment, step_index: int) -> None:
        flow = self.owners[assignment.video.name]
        kill_every = self.scenario.kill_every
        if kill_every and self.num_slices % kill_every == 0:
            self.num_lost += 1
            await self.store.heartbeat(replace(assignment.lease, lease_seconds=0.0))
            assert await self.store.expire_leases() == 1
            await self.claim(time)
            return
        self.served[flow.tenant] += 1
        verdict = await end_slice(
            self.store, assignment.lease, step_index, gpu_seconds=flow.slice_seconds
        )
        if verdict is Verdict.YIELD:
            await self.store.requeue(assignment.lease, reason="PREEMPTED")
        elif step_index == NUM_STEPS:
            await self.store.complete(assignment.lease, [])
        else:
            self.begin(time, assignment, step_index)
            return
        await self.claim(time)

    def check(self) -> None:
        quantum, num_workers = self.scenario.quantum_seconds, self.scenario.num_workers
        shares = [
            (
                self.served[flow.tenant] * flow.slice_seconds / flow.weight,
                (flow.slice_seconds + quantum) / flow.weight,
            )
            for flow in self.scenario.flows
        ]
        for share, longest in shares:
            for other_share, other_longest in shares:
                bound = (num_workers + 1) * (longest + other_longest)
                assert abs(share - other_share) <= bound + 1e-9


@pytest.mark.parametrize("name", SCENARIOS)
async def test_flows_that_wait_stay_within_the_bound(client: Redis, name: str) -> None:
    scenario = SCENARIOS[name]
    store = JobStore(client, limits=NO_LIMITS, quantum_seconds=scenario.quantum_seconds)
    workers = Workers(store, scenario)
    await workers.submit(videos_each=40)
    await workers.run(num_slices=120)
    assert bool(workers.num_lost) == bool(scenario.kill_every)
    for flow in scenario.flows:
        used = workers.served[flow.tenant] * flow.slice_seconds
        running = sum(workers.owners[entry[2].video.name] is flow for entry in workers.ends)
        charged = await charged_seconds(client, flow.name)
        assert charged == pytest.approx(used + running * flow.slice_seconds)


async def test_batch_is_served_however_much_premium_comes(client: Redis) -> None:
    store = JobStore(client, limits=NO_LIMITS, quantum_seconds=0.0)
    scenario = Scenario((Flow("batch", BATCH), *(Flow(f"p{n}", PREMIUM) for n in range(3))))
    workers = Workers(store, scenario)
    await workers.submit(videos_each=20)
    await workers.run(num_slices=100)
    # A weight of one among 25.
    assert workers.served["batch"] >= 3
