"""The gateway process: starts with or without Redis, lives through its absence, stops cleanly."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from telecine.api.gateway import serve
from telecine.config import GatewaySettings, RedisSettings, Settings, StorageSettings
from telecine.jobs.model_directory import ModelDirectory
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.v1 import model_pb2, video_pb2, video_service_pb2, video_service_pb2_grpc

Refused = Callable[[Awaitable[object]], Awaitable[Any]]

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

CREATION = video_service_pb2.CreateVideoRequest(
    spec=video_pb2.VideoSpec(prompt="a red circle"), request_id="order-1"
)


def settings_for(redis_url: str, folder: Path, **gateway: Any) -> Settings:
    return Settings(
        gateway=GatewaySettings(probe_seconds=0.1, stop_grace_seconds=0.5, **gateway),
        redis=RedisSettings(url=redis_url),
        storage=StorageSettings(url=str(folder / "objects")),
    )


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield (
            video_service_pb2_grpc.VideoServiceStub(channel),
            health_pb2_grpc.HealthStub(channel),
        )


async def wait_for_status(health: Any, status: int) -> None:
    async with asyncio.timeout(20):
        async for answer in health.Watch(health_pb2.HealthCheckRequest()):
            if answer.status == status:
                return


async def announce(url: str, model: model_pb2.Model) -> None:
    redis = connect_redis(url)
    await ModelDirectory(redis).publish(model, worker_id="w", ttl_seconds=60)
    await redis.aclose()


async def test_redis_that_goes_and_comes_back_needs_no_restart(
    tmp_path: Path, refused: Refused, toybox: model_pb2.Model
) -> None:
    with RedisServer(tmp_path / "redis") as store:
        await announce(store.url, toybox)
        async with (
            serve(settings_for(store.url, tmp_path)) as address,
            connected(address) as (videos, health),
        ):
            made = await videos.CreateVideo(CREATION)
            await wait_for_status(health, SERVING)
            store.kill()
            refusal = await refused(videos.CreateVideo(CREATION))
            assert refusal.code == grpc.StatusCode.UNAVAILABLE
            assert refusal.reason == "STORE_UNAVAILABLE"
            assert refusal.retry_seconds
            await wait_for_status(health, NOT_SERVING)
            store.start()
            await wait_for_status(health, SERVING)
            assert (await videos.CreateVideo(CREATION)).name == made.name


async def test_health_is_told_by_http_as_by_grpc(tmp_path: Path) -> None:
    address_file = tmp_path / "http.address"
    with RedisServer(tmp_path / "redis") as store:
        settings = settings_for(store.url, tmp_path, http_address_file=address_file)
        async with (
            serve(settings) as address,
            connected(address) as (_, health),
            httpx2.AsyncClient(base_url=f"http://{address_file.read_text().strip()}") as http,
        ):
            answer = await http.get("/health")
            assert (answer.status_code, answer.json()) == (200, {"status": "SERVING"})
            store.kill()
            await wait_for_status(health, NOT_SERVING)
            answer = await http.get("/health")
            assert (answer.status_code, answer.json()) == (503, {"status": "NOT_SERVING"})


async def test_gateway_starts_before_redis_does(
    tmp_path: Path, refused: Refused, toybox: model_pb2.Model
) -> None:
    store = RedisServer(tmp_path / "redis")
    async with (
        serve(settings_for(store.url, tmp_path)) as address,
        connected(address) as (videos, health),
    ):
        check = await health.Check(health_pb2.HealthCheckRequest())
        assert check.status == NOT_SERVING
        refusal = await refused(videos.CreateVideo(CREATION))
        assert refusal.code == grpc.StatusCode.UNAVAILABLE
        with store:
            await announce(store.url, toybox)
            await wait_for_status(health, SERVING)
            assert (await videos.CreateVideo(CREATION)).name


async def test_no_model_announced_yet_is_unavailable_not_a_bad_request(
    redis_url: str, tmp_path: Path, refused: Refused
) -> None:
    async with (
        serve(settings_for(redis_url, tmp_path)) as address,
        connected(address) as (videos, _),
    ):
        refusal = await refused(videos.CreateVideo(CREATION))
    assert refusal.code == grpc.StatusCode.UNAVAILABLE
    assert refusal.retry_seconds


async def test_watchers_are_told_to_come_back_when_the_gateway_stops(
    redis_url: str, tmp_path: Path, toybox: model_pb2.Model
) -> None:
    await announce(redis_url, toybox)
    gateway = serve(settings_for(redis_url, tmp_path))
    address = await gateway.__aenter__()
    async with connected(address) as (videos, _):
        video = await videos.CreateVideo(CREATION)
        call = videos.WatchVideo(video_service_pb2.WatchVideoRequest(name=video.name))
        await call.read()
        reading = asyncio.create_task(call.read())
        await gateway.__aexit__(None, None, None)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await reading
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_second_gateway_on_a_port_fails(redis_url: str, tmp_path: Path) -> None:
    async with serve(settings_for(redis_url, tmp_path)) as address:
        port = int(address.rsplit(":", 1)[1])
        with pytest.raises(RuntimeError, match="bind"):
            async with serve(settings_for(redis_url, tmp_path, port=port)):
                pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_process_writes_its_address_logs_json_and_stops_on_a_signal(
    redis_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    address_file = tmp_path / "address"
    environment = {
        "TELECINE_REDIS__URL": redis_url,
        "TELECINE_GATEWAY__ADDRESS_FILE": str(address_file),
        "TELECINE_STORAGE__URL": str(tmp_path / "objects"),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "telecine.cli", "gateway"),
        env={**os.environ, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        while not address_file.exists():  # noqa: ASYNC110 (another process writes it)
            await asyncio.sleep(0.05)
        async with connected(address_file.read_text().strip()) as (_, health):
            await wait_for_status(health, SERVING)
        process.send_signal(number)
        _, log = await process.communicate()
    assert process.returncode == 0
    lines = [json.loads(line) for line in log.splitlines()]
    assert lines[-1]["message"] == "gateway stopped"
    assert {"@timestamp", "log.level", "service.name", "process.pid"} <= lines[-1].keys()
