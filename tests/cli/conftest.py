"""The command line against a gateway process of each test's own."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_process import GatewayProcess, running_gateway
from typer.testing import CliRunner, Result

from telecine.cli.app import app

Run = Callable[..., Result]


@pytest.fixture
def gateway(redis_url: str, tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway with one model and no worker."""
    with running_gateway(redis_url, tmp_path / "data") as running:
        asyncio.run(_announce(running))
        yield running


async def _announce(gateway: GatewayProcess) -> None:
    await gateway.announce()
    await gateway.redis.aclose()


@pytest.fixture
def run(gateway: GatewayProcess) -> Run:
    """Run a command on that gateway's data folder."""

    def invoke(*arguments: str) -> Result:
        command = [*arguments, "--data-dir", str(gateway.data_dir)]
        return CliRunner().invoke(app, command)

    return invoke


@pytest.fixture
def documents() -> Callable[[Result], list[dict[str, Any]]]:
    """The JSON documents that a command printed, one after another."""

    def parse(result: Result) -> list[dict[str, Any]]:
        decoder, text, found = json.JSONDecoder(), result.stdout.strip(), []
        while text:
            document, end = decoder.raw_decode(text)
            found.append(document)
            text = text[end:].lstrip()
        return found

    return parse
