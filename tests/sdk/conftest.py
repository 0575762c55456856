"""The service that clients in other languages are tested against."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sdk_service import Service, TlsService, running_service, running_tls_service


@pytest.fixture
async def service(redis_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    """Makes each video of `toybox` at once, and none of `shelf`."""
    async with running_service(redis_url, tmp_path) as running:
        yield running


@pytest.fixture
async def tls_service(redis_url: str, tmp_path: Path) -> AsyncIterator[TlsService]:
    """A gateway of the same Redis that speaks TLS on both sides."""
    async with running_tls_service(redis_url, tmp_path) as running:
        yield running
