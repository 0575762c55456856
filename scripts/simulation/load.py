"""Many tenants and many jobs in virtual time: who gets how much, and who waits how long.

No faults and no checks here, and of each worker only the calls that move videos: what is left is
the order itself, at the size of a large service.
"""

import math
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from simulation.event_loop import MICROS, EventLoop
from simulation.orders import Order
from simulation.simulated_redis import SimulatedRedis
from simulation.simulated_store import BlockingCalls, SimulatedLibrary, SimulatedStore, run
from telecine.jobs.job_types import (
    Assignment,
    Capability,
    CheckpointPointer,
    QueueLimits,
    SliceReport,
    Submission,
    Verdict,
)
from telecine.v1 import video_pb2

SLICE_STEPS = 10
SECONDS_OF_A_SLICE = 5.0
_MODEL = "toybox"
_CAPABILITY = Capability((_MODEL,), (_MODEL,), 0)
_STEP_UNITS = 12.5
_EPOCH_MICROS = 1_700_000_000 * MICROS
_LEASE_SECONDS = 1e9
_NOISE = 0.1


@dataclass
class Job:
    """One video and what became of it; times in seconds.

    Attributes:
        start: of its first slice.
        end: of its last one.
    """

    tenant: str
    tier: video_pb2.Tier.ValueType
    num_slices: int
    arrival: float
    start: float = math.nan
    end: float = math.nan

    @property
    def lone_seconds(self) -> float:
        """How long it would take alone."""
        return self.num_slices * SECONDS_OF_A_SLICE


@dataclass
class LoadResult:
    """What came of one load.

    Attributes:
        service: GPU seconds of finished slices by tenant.
        makespan: when the last job ended, in seconds.
        num_switches: how often a worker went from one video to another.
    """

    jobs: Sequence[Job]
    service: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    makespan: float = 0.0
    num_switches: int = 0


class Load:
    """Runs jobs on workers that are alike; a switch of videos takes them `switch_seconds`."""

    def __init__(
        self,
        server: SimulatedRedis,
        jobs: Sequence[Job],
        *,
        num_workers: int,
        switch_seconds: float,
        order: Order = Order.FAIR,
    ) -> None:
        self.result = LoadResult(jobs)
        self._switch_seconds = switch_seconds
        self._random = Random(len(jobs))
        self._is_over = False
        self._loop = EventLoop(self._random)
        self._by_name: dict[str, Job] = {}
        self._idle: deque[str] = deque(f"w{number}" for number in range(num_workers))
        calls = BlockingCalls(server, lambda: _EPOCH_MICROS + round(self._loop.now * MICROS))
        most = len(jobs) + 1
        self._store = SimulatedStore(
            SimulatedLibrary(calls, random=self._random, order=order),
            limits=QueueLimits(most, most, most),
        )
        server.empty()

    def run(self, *, is_over: Callable[[Job], bool] = lambda _: False) -> LoadResult:
        """Runs to the end, or until `is_over` says of a job that starts that it is enough."""
        self._ends = is_over
        for job in self.result.jobs:
            self._loop.after(job.arrival, lambda job=job: self._submit(job))  # type: ignore[misc]
        while not self._is_over and self._loop.run_next():
            pass
        self.result.makespan = self._loop.now
        return self.result

    def _submit(self, job: Job) -> None:
        video = run(self._store.submit(_submission(job)))
        self._by_name[video.name] = job
        if self._idle:
            worker = self._idle.popleft()
            self._loop.after(0.0, lambda: self._claim(worker))

    def _claim(self, worker: str) -> None:
        assignment = run(
            self._store.claim(
                worker,
                capability=_CAPABILITY,
                slice_steps=SLICE_STEPS,
                lease_seconds=_LEASE_SECONDS,
            )
        )
        if assignment is None:
            self._idle.append(worker)
            return
        self.result.num_switches += 1
        job = self._by_name[assignment.video.name]
        done = assignment.checkpoints[0].step_index // SLICE_STEPS if assignment.checkpoints else 0
        if math.isnan(job.start):
            job.start = self._loop.now
            self._is_over = self._ends(job)
        self._loop.after(self._switch_seconds, lambda: self._slice(worker, assignment, done))

    def _slice(self, worker: str, assignment: Assignment, done: int) -> None:
        seconds = SECONDS_OF_A_SLICE * math.exp(self._random.gauss(0.0, _NOISE))
        self._loop.after(seconds, lambda: self._end_slice(worker, assignment, done + 1, seconds))

    def _end_slice(self, worker: str, assignment: Assignment, done: int, seconds: float) -> None:
        job, lease = self._by_name[assignment.video.name], assignment.lease
        steps = done * SLICE_STEPS
        pointer = CheckpointPointer("k", steps, "sha256:0", 1)
        report = SliceReport(steps, SLICE_STEPS, seconds, pointer)
        verdict = run(
            self._store.finish_slice(lease, report, capability=_CAPABILITY, slice_steps=SLICE_STEPS)
        )
        self.result.service[job.tenant] += seconds
        if done == job.num_slices:
            self._complete(job, assignment)
            self._claim(worker)
        elif verdict is Verdict.CONTINUE:
            self._slice(worker, assignment, done)
        else:
            run(self._store.requeue(lease, reason="PREEMPTED"))
            self._claim(worker)

    def _complete(self, job: Job, assignment: Assignment) -> None:
        run(self._store.complete(assignment.lease, []))
        job.end = self._loop.now


def draw_size(random: Random, *, shortest: int, longest: int) -> int:
    """Returns a number of slices with a heavy tail: Pareto, shape 1.2, cut at `longest`."""
    return min(longest, int(shortest * random.paretovariate(1.2)))


def _submission(job: Job) -> Submission:
    spec = video_pb2.VideoSpec(model=f"models/{_MODEL}", tier=job.tier)
    return Submission(
        spec=spec,
        num_frames=33,
        num_steps=job.num_slices * SLICE_STEPS,
        tenant=job.tenant,
        request_id="",
        fingerprint=b"",
        model_version="1",
        model_digest="sha256:00",
        expanded_prompt="",
        warnings=(),
        step_units=_STEP_UNITS,
    )
