"""Runs seeds one after another, and says what came of each."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from simulation.coverage import all_places
from simulation.faults import Fault, Place
from simulation.plants import Plant
from simulation.scenario import draw_scenario
from simulation.simulated_redis import SimulatedRedis
from simulation.violation import Violation
from simulation.world import World


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
    world = World(redis, scenario, random=random)
    violation = ""
    try:
        world.run()
    except Violation as found:
        violation = str(found)
    ratio = world.checker.meter.worst()[0]
    return RunResult(seed, violation, tuple(world.trace), ratio, world.faults.hits)


def run_seeds(
    redis: SimulatedRedis, seeds: Iterable[int], *, plant: Plant | None = None
) -> Iterator[RunResult]:
    """Runs seeds in turn."""
    for seed in seeds:
        yield run_seed(redis, seed, plant=plant)
