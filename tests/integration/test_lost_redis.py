"""Redis restarted, cut short or without room, in the middle of a video."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disk import fill, small_disk

from telecine.client import AsyncClient, UnavailableError
from telecine.inference.triton_server import TritonServer
from telecine.jobs.redis_server import RedisServer
from telecine.v1 import video_pb2

from .conftest import Service, ServiceMaker
from .long_video import ALL_STEPS, finished, num_steps_redone, start_long_video, undisturbed
from .waiting import all_events, is_notice, is_step, next_event, step_indexes, until


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may stop and start."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def service(
    make_service: ServiceMaker, triton_server: TritonServer, own_redis: RedisServer
) -> Iterator[Service]:
    """A service on that Redis."""
    service = make_service(triton_server.grpc_url)
    service.redis_url = own_redis.url
    yield service
    service.stop()  # while there is a Redis to take its leave of


def end(redis_server: RedisServer, number: signal.Signals) -> None:
    """Ends a Redis by a signal."""
    assert redis_server.pid is not None
    os.kill(redis_server.pid, number)
    redis_server.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_restart_of_redis_costs_no_step(
    own_redis: RedisServer, service: Service, number: signal.Signals
) -> None:
    service.start_worker(lease_seconds=30.0)
    async with await service.start_gateway() as client:
        name = await start_long_video(client)
        await asyncio.to_thread(end, own_redis, number)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(own_redis.start)
        await client.wait_for_video(name)
        video = await client.get_video(name)
        assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
        assert video.attempt == 1
        events = await all_events(client, name)
        assert len(step_indexes(events)) == len(set(step_indexes(events)))
        assert "STORE_RESTORED" not in [event.notice.reason for event in events]
        assert video.artifacts == (await undisturbed(client)).artifacts


async def test_an_end_that_redis_lost_is_made_good_from_the_stored_files(
    own_redis: RedisServer, service: Service
) -> None:
    service.start_worker()
    async with await service.start_gateway() as client:
        name = await start_long_video(client, at_step=max(ALL_STEPS) - 2)
        (log,) = (own_redis.folder / "appendonlydir").glob("*.incr.aof")
        num_bytes = log.stat().st_size
        before = await finished(client, name)
        await asyncio.to_thread(own_redis.kill)
        os.truncate(log, num_bytes)
        await asyncio.to_thread(own_redis.start)
        notices = client.watch_video(name)
        for reason in ("STORE_RESTORED", "WORKER_LOST", "FILES_FOUND"):
            await next_event(notices, is_notice(reason))
        again = await client.wait_for_video(name)
        assert again.state == video_pb2.Video.STATE_SUCCEEDED, again.failure
        assert again.artifacts == before.artifacts
        assert again.attempt == 2
        content = b"".join([chunk async for chunk in client.read_video(name)])
        assert len(content) == again.artifacts[0].size_bytes
        assert await num_steps_redone(client, name) == 0


async def test_steps_that_redis_lost_are_done_again_and_the_video_is_the_same(
    own_redis: RedisServer, service: Service
) -> None:
    service.start_worker()
    async with await service.start_gateway() as client:
        name = await start_long_video(client, at_step=8)
        (log,) = (own_redis.folder / "appendonlydir").glob("*.incr.aof")
        num_bytes = log.stat().st_size
        await next_event(client.watch_video(name), is_step(20))
        await asyncio.to_thread(own_redis.kill)
        os.truncate(log, num_bytes - 3)
        await asyncio.to_thread(own_redis.start)
        await next_event(client.watch_video(name), is_notice("STORE_RESTORED"))
        await client.wait_for_video(name)
        video = await client.get_video(name)
        assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
        events = await all_events(client, name)
        assert len({event.event_id for event in events}) == len(events)
        assert video.artifacts == (await undisturbed(client)).artifacts


async def test_a_full_disk_stops_new_videos_with_a_clear_error_and_loses_none(
    make_service: ServiceMaker, triton_server: TritonServer, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", num_bytes=8 << 20) as disk, RedisServer(disk) as server:
        service = make_service(triton_server.grpc_url)
        service.redis_url = server.url
        service.start_worker()
        async with await service.start_gateway() as client:
            name = await start_long_video(client)
            ballast = fill(disk)
            with pytest.raises(UnavailableError, match="Redis"):
                await create_until_refused(client)
            await until(lambda: server.pid is None)  # rather than go on without its file
            ballast.unlink()
            await asyncio.to_thread(server.start)
            await client.wait_for_video(name)
            video = await client.get_video(name)
            assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
            assert video.artifacts == (await undisturbed(client)).artifacts
        service.stop()


async def create_until_refused(client: AsyncClient) -> None:
    """Creates videos until one is refused; raises what the client is told."""
    async with asyncio.timeout(60.0):
        while True:
            await client.create_video("a blue square", num_inference_steps=1)
