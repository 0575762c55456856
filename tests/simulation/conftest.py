"""One Redis for all simulations of a test process; each empties it."""

from collections.abc import Iterator

import pytest

from simulation.simulated_redis import SimulatedRedis


@pytest.fixture(scope="session")
def simulated_redis() -> Iterator[SimulatedRedis]:
    with SimulatedRedis() as server:
        yield server
