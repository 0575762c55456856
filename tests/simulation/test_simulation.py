"""The queue's own functions under faults in virtual time, checked after every event."""

from collections import Counter

import pytest

from simulation.coverage import (
    FUNCTIONS_OF_ROLES,
    NOT_SIMULATED,
    missed_places,
    registered_functions,
)
from simulation.faults import Fault, Place
from simulation.plants import (
    FORGOTTEN_REFUND,
    LOST_REQUEUE,
    MISSING_FENCING,
    RUN_TO_COMPLETION,
    Plant,
    planted,
)
from simulation.runs import run_seed, run_seeds
from simulation.simulated_redis import SimulatedRedis
from telecine.jobs.function_library import library_source

SEEDS = range(150)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_breaks_in_any_seed_and_faults_strike_everywhere(
    simulated_redis: SimulatedRedis,
) -> None:
    hits: Counter[tuple[Place, Fault]] = Counter()
    for result in run_seeds(simulated_redis, SEEDS):
        trace = "\n".join(result.trace[-40:])
        assert not result.violation, f"seed {result.seed}: {result.violation}\n{trace}"
        hits += result.hits
    assert missed_places(hits) == []


def test_a_seed_replays_exactly(simulated_redis: SimulatedRedis) -> None:
    first, again = (run_seed(simulated_redis, 7) for _ in range(2))
    assert first.trace == again.trace
    assert first.hits == again.hits
    assert len(first.trace) > 100


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("plant", "complaint"),
    [
        (MISSING_FENCING, "was accepted"),
        (LOST_REQUEUE, "are leased"),
        (RUN_TO_COMPLETION, "of their bound apart"),
        (FORGOTTEN_REFUND, "was not settled"),
    ],
    ids=lambda value: value.name if isinstance(value, Plant) else "",
)
def test_a_planted_fault_is_caught(
    simulated_redis: SimulatedRedis, plant: Plant, complaint: str
) -> None:
    results = run_seeds(simulated_redis, SEEDS, plant=plant)
    caught = next((result for result in results if result.violation), None)
    assert caught is not None
    assert complaint in caught.violation


def test_a_plant_that_does_not_fit_the_source_is_refused() -> None:
    with pytest.raises(ValueError, match="fits 0 places"):
        planted(library_source(), Plant("outdated", "what is no longer there", ""))


def test_every_function_of_the_library_is_called_by_a_role_or_named_as_left_out() -> None:
    called = {name for names in FUNCTIONS_OF_ROLES.values() for name in names}
    assert called.isdisjoint(NOT_SIMULATED)
    assert called | NOT_SIMULATED == registered_functions()


def test_a_library_with_a_clock_of_its_own_has_its_own_name() -> None:
    assert library_source()[0] != library_source("telecine:{0}:clock")[0]
