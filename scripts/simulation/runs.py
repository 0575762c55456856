"""Runs seeds one after another, and says what came of each."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from random import Random

from simulation.coverage import all_places
from simulation.faults import Fault, FaultPlan, Place
from simulation.orders import Order
from simulation.plants import Plant
from simulation.scenario import Scenario, draw_crowd, draw_scenario
from simulation.simulated_redis import SimulatedRedis
from simulation.violation import Violation
from simulation.world import World

_KILL_RATE = 0.02


@dataclass(frozen=True)
class RunResult:
    """What came of one run.

    Attributes:
        violation: what was wrong; empty where all was well.
        trace: every call and fault in order; the same for the same seed.
        largest_ratio: largest gap in service of two flows over its bound.
        hits: where faults struck.
    """

    seed: int
    violation: str
    trace: tuple[str, ...]
    largest_ratio: float
    hits: Counter[tuple[Place, Fault]]

    @property
    def trace_digest(self) -> str:
        """A short name of the whole trace."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


def run_seed(redis: SimulatedRedis, seed: int, *, plant: Plant | None = None) -> RunResult:
    """Runs one seed; the seeds take turns in which place their faults prefer."""
    places = all_places()
    random = Random(seed)
    scenario = draw_scenario(random, target=places[seed % len(places)], plant=plant)
    return _run(redis, seed, scenario, random)


def run_crowd(redis: SimulatedRedis, seed: int, *, order: Order) -> RunResult:
    """Runs a few flows that compete under kills, served in this order; the bound only measures.

    Left out is what moves no video: who only looks, and calls that only inform.
    """
    random = Random(seed)
    scenario = draw_crowd(random, FaultPlan(_KILL_RATE))
    scenario = replace(
        scenario,
        videos=tuple(replace(plan, is_watched=False) for plan in scenario.videos),
        workers=tuple(replace(settings, reports_steps=False) for settings in scenario.workers),
        has_gateway=False,
    )
    return _run(redis, seed, replace(scenario, order=order, is_fairness_required=False), random)


def run_seeds(
    redis: SimulatedRedis, seeds: Iterable[int], *, plant: Plant | None = None
) -> Iterator[RunResult]:
    """Runs seeds in turn."""
    for seed in seeds:
        yield run_seed(redis, seed, plant=plant)


def _run(redis: SimulatedRedis, seed: int, scenario: Scenario, random: Random) -> RunResult:
    world = World(redis, scenario, random=random)
    violation = ""
    try:
        world.run()
    except Violation as found:
        violation = str(found)
    ratio, _ = world.checker.meter.worst()
    return RunResult(seed, violation, tuple(world.trace), ratio, world.faults.hits)
