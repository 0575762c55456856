"""A gateway process of each test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_process import GatewayProcess, running_gateway


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    """A gateway with one model and no worker: the test is the worker."""
    with running_gateway(redis_url, tmp_path / "data") as running:
        await running.announce()
        yield running
        await running.jobs.close()
        await running.redis.aclose()
