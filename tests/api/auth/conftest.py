"""A gateway that asks for credentials."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from keyed_gateway import KeyedGateway, announce, keyed_gateway

from telecine.v1 import model_pb2


@pytest.fixture
async def keyed(
    redis_url: str, tmp_path: Path, toybox: model_pb2.Model
) -> AsyncIterator[KeyedGateway]:
    async with keyed_gateway(redis_url, tmp_path) as running:
        await announce(running, toybox)
        yield running
