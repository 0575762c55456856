import asyncio
import inspect
import random
from contextlib import aclosing
from pathlib import Path

import pytest
from breaking_proxy import BreakingProxy
from gateway_process import GatewayProcess
from submissions import claim, make_step

from telecine.client import AsyncClient, Client, NotFoundError
from telecine.v1 import video_pb2


def _public(client_type: type) -> dict[str, list[str]]:
    methods = inspect.getmembers(client_type, inspect.isfunction)
    return {
        name: [str(parameter) for parameter in inspect.signature(method).parameters.values()]
        for name, method in methods
        if not name.startswith("_")
    }


def test_both_clients_offer_the_same() -> None:
    assert _public(Client) == _public(AsyncClient)


async def test_a_video_is_made_watched_and_fetched(gateway: GatewayProcess, tmp_path: Path) -> None:
    def use() -> tuple[list[video_pb2.VideoEvent], video_pb2.Video]:
        with Client(gateway.address) as client:
            video = client.create_video("a red circle", seed=5)
            asyncio.run_coroutine_threadsafe(gateway.finish(b"frames"), loop).result(30)
            events = list(client.watch_video(video.name))
            video = client.wait_for_video(video.name)
            client.download_video(video.name, tmp_path / "out.mp4")
            assert [found.name for found in client.list_videos()] == [video.name]
            assert client.get_model("toybox") == client.list_models()[0]
            client.delete_video(video.name)
            with pytest.raises(NotFoundError):
                client.get_video(video.name)
            return events, video

    loop = asyncio.get_running_loop()
    events, video = await asyncio.to_thread(use)
    assert video.state == video_pb2.Video.STATE_SUCCEEDED
    assert events[-1].state_changed.state == video_pb2.Video.STATE_SUCCEEDED
    assert (tmp_path / "out.mp4").read_bytes() == b"frames"


async def test_a_watcher_sees_every_event_once_through_broken_connections(
    gateway: GatewayProcess,
) -> None:
    def watch() -> list[video_pb2.VideoEvent]:
        with Client(address) as client:
            return list(client.watch_video(video.name))

    proxy = BreakingProxy(gateway.port, num_breaks=3, break_bytes=40_000)
    async with proxy.serve() as address, AsyncClient(gateway.address) as direct:
        video = await direct.create_video("a red circle")
        assignment = await claim(gateway.jobs, lease_seconds=60)
        assert assignment is not None
        watching = asyncio.create_task(asyncio.to_thread(watch))
        for step_index in range(1, 21):
            preview = random.Random(step_index).randbytes(8000)
            step = make_step(step_index, preview=preview)
            await gateway.jobs.finish_step(assignment.lease, step)
        await gateway.jobs.complete(assignment.lease, [])
        seen = await watching

    assert proxy.num_connections > 1
    steps = [event.step_finished.step_index for event in seen if event.HasField("step_finished")]
    assert steps == list(range(1, 21))
    assert len({event.event_id for event in seen}) == len(seen)


async def test_a_download_goes_on_after_broken_connections(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    def download() -> None:
        with Client(address) as client:
            client.download_video(video.name, tmp_path / "out.mp4")

    content = random.Random(1).randbytes(8 << 20)
    proxy = BreakingProxy(gateway.port, num_breaks=3, break_bytes=2 << 20)
    async with proxy.serve() as address, AsyncClient(gateway.address) as direct:
        video = await direct.create_video("a red circle")
        await gateway.finish(content)
        await asyncio.to_thread(download)
    assert proxy.num_connections > 3
    assert (tmp_path / "out.mp4").read_bytes() == content


async def test_a_call_is_made_again_after_broken_connections(gateway: GatewayProcess) -> None:
    def create() -> str:
        with Client(address) as client:
            return client.create_video("a red circle").name

    proxy = BreakingProxy(gateway.port, num_breaks=2, break_bytes=0)
    async with proxy.serve() as address:
        name = await asyncio.to_thread(create)
    assert (await gateway.jobs.get(name)).state == video_pb2.Video.STATE_QUEUED
    assert proxy.num_connections > 2


async def test_several_videos_of_one_prompt_are_made_and_watched_in_one_stream(
    gateway: GatewayProcess,
) -> None:
    def use() -> tuple[list[video_pb2.Video], set[str]]:
        with Client(gateway.address) as client:
            changes = client.watch_videos()
            videos = client.create_videos("a red circle", 3, seed=5)
            seen: set[str] = set()
            while len(seen) < 3:
                seen.add(next(changes).video.name)
            changes.close()
            return videos, seen

    videos, seen = await asyncio.to_thread(use)
    assert [video.spec.seed for video in videos] == [5, 6, 7]
    assert seen == {video.name for video in videos}


async def test_the_async_client_watches_all_videos_too(gateway: GatewayProcess) -> None:
    async with AsyncClient(gateway.address) as client:
        (video,) = await client.create_videos("a red circle", 1)
        async with aclosing(client.watch_videos()) as changes:
            assert (await anext(changes)).video.name == video.name
