"""An HTTP client of the gateway that the tests of the API run."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest


@pytest.fixture
async def http(gateway: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose addresses begin with the gateway's."""
    async with httpx2.AsyncClient(base_url=gateway.http_url, timeout=30) as client:
        yield client
