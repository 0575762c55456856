"""The JavaScript client fetches a video while it is made; the test is the worker."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from breaking_proxy import BreakingProxy
from gateway_process import GatewayProcess, running_gateway
from js_package import built_js_package
from live_worker import LiveWorker
from sdk_service import run_program

from telecine.client import AsyncClient
from telecine.v1 import video_pb2

PIECES = [random.Random(number).randbytes(300_000) for number in range(4)]
FOLLOW = """
import { Client } from "@telecine/client/node";
const [address, name, path] = process.argv.slice(1);
const client = new Client(address);
await client.downloadVideo(name, path, { follow: true });
client.close();
"""


@pytest.fixture(scope="module")
def js_package() -> Path:
    """The client, built once."""
    return built_js_package()


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    """A gateway with one model and no worker."""
    with running_gateway(redis_url, tmp_path / "data") as running:
        await running.announce()
        yield running
        await running.jobs.close()
        await running.redis.aclose()


@pytest.fixture
async def worker(gateway: GatewayProcess) -> LiveWorker:
    """The worker of a realtime video."""
    async with AsyncClient(gateway.address) as client:
        await client.create_video("a red circle", tier=video_pb2.TIER_REALTIME)
    return await LiveWorker.claim(gateway.jobs, gateway.objects)


def follow(
    js_package: Path, address: str, name: str, path: Path
) -> "asyncio.Task[tuple[int | None, str]]":
    arguments = ("node", "--input-type=module", "--eval", FOLLOW, address, name, path)
    return asyncio.create_task(run_program(*arguments, cwd=js_package))


async def until_written(path: Path, size: int) -> None:
    async with asyncio.timeout(30):
        while True:
            if path.exists() and path.stat().st_size >= size:
                return
            await asyncio.sleep(0.01)


async def test_a_followed_download_goes_on_after_broken_connections(
    js_package: Path, gateway: GatewayProcess, worker: LiveWorker, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    proxy = BreakingProxy(gateway.port, num_breaks=3, break_bytes=200_000)
    async with proxy.serve() as address:
        following = follow(js_package, address, worker.name, path)
        for piece in PIECES:
            await worker.announce(piece)
            await until_written(path, len(worker.content))
        await worker.complete()
        assert await following == (0, "")
    assert proxy.num_connections > 3
    assert path.read_bytes() == worker.content


async def test_a_file_that_is_made_anew_with_other_bytes_is_fetched_anew(
    js_package: Path, gateway: GatewayProcess, worker: LiveWorker, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    following = follow(js_package, gateway.address, worker.name, path)
    await worker.announce(PIECES[0])
    await until_written(path, len(worker.content))
    second = await worker.lose()
    await second.announce(PIECES[1][:1000])
    await second.complete()
    assert await following == (0, "")
    assert path.read_bytes() == PIECES[1][:1000]
