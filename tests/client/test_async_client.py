import asyncio
import random
from pathlib import Path

import pytest
from breaking_proxy import BreakingProxy
from gateway_process import GatewayProcess
from submissions import claim, make_step

from telecine.client import (
    AsyncClient,
    InvalidRequestError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
    VideoFilter,
    VideoStateError,
)
from telecine.v1 import account_pb2, usage_pb2, video_pb2

NUM_STEPS = 20


async def test_a_video_is_made_looked_at_listed_and_removed(gateway: GatewayProcess) -> None:
    async with AsyncClient(gateway.address) as client:
        video = await client.create_video("a red circle", seed=3, labels={"team": "film"})
        assert video.spec.seed == 3
        assert (await client.get_video(video.name.removeprefix("videos/"))).name == video.name
        with pytest.raises(VideoStateError):
            await client.delete_video(video.name)
        paused = await client.pause_video(video.name)
        assert paused.state == video_pb2.Video.STATE_PAUSED
        resumed = await client.resume_video(video.name)
        assert resumed.state == video_pb2.Video.STATE_QUEUED
        cancelled = await client.cancel_video(video.name)
        assert cancelled.state == video_pb2.Video.STATE_CANCELLED
        await client.delete_video(video.name)
        with pytest.raises(NotFoundError):
            await client.get_video(video.name)


async def test_lists_go_on_over_pages(gateway: GatewayProcess) -> None:
    async with AsyncClient(gateway.address) as client:
        made = [await client.create_video("a red circle", seed=seed) for seed in range(5)]
        await client.cancel_video(made[0].name)
        listed = [video.name async for video in client.list_videos(page_size=2)]
        assert listed == [video.name for video in reversed(made)]
        cancelled = VideoFilter(states=[video_pb2.Video.STATE_CANCELLED])
        assert [video.name async for video in client.list_videos(cancelled)] == [made[0].name]


async def test_models_are_listed_and_found_by_a_bare_id(gateway: GatewayProcess) -> None:
    async with AsyncClient(gateway.address) as client:
        assert [model.name for model in await client.list_models()] == ["models/toybox"]
        assert (await client.get_model("toybox")).limits.max_num_frames == 97


async def test_costs_are_estimated_and_accounts_shown(gateway: GatewayProcess) -> None:
    async with AsyncClient(gateway.address) as client:
        estimate = await client.estimate_cost("a red circle", duration_seconds=1)
        video = await client.create_video("a red circle", duration_seconds=1)
        assert video.estimated_microcredits == estimate.microcredits > 0
        await client.cancel_video(video.name)
        usage = await client.get_usage()
        assert (usage.spent_microcredits, usage.num_open_videos) == (0, 0)
        entries = [entry async for entry in client.list_ledger(page_size=1)]
        assert [entry.video for entry in entries] == [video.name] * 2
        await client.update_quota("default", usage_pb2.Quota(max_open_videos=0))
        assert (await client.get_quota()).max_open_videos == 0
        with pytest.raises(ResourceExhaustedError) as refusal:
            await client.create_video("a red circle")
        assert refusal.value.reason == "QUOTA_EXCEEDED"


async def test_an_upload_arrives_whole(gateway: GatewayProcess, tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(3 << 20))
    async with AsyncClient(gateway.address) as client:
        media = await client.upload_media(path)
        assert media.size_bytes == path.stat().st_size
        assert (await client.get_usage()).stored_bytes == media.size_bytes
        assert await client.get_media(media.name) == media
        other = await client.upload_media(path)
        assert [each async for each in client.list_media(page_size=1)] == [other, media]
        await client.delete_media(other.name)
        await client.delete_media(media.name)
        assert (await client.get_usage()).stored_bytes == 0
        with pytest.raises(NotFoundError):
            await client.delete_media(media.name)


async def test_a_file_that_is_not_there_is_the_callers_error(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    async with AsyncClient(gateway.address) as client:
        with pytest.raises(FileNotFoundError):
            await client.upload_media(tmp_path / "none.png")


async def test_a_refusal_names_the_field(gateway: GatewayProcess) -> None:
    async with AsyncClient(gateway.address) as client:
        with pytest.raises(InvalidRequestError) as refusal:
            await client.create_video("a red circle", sampler="no such sampler")
    assert refusal.value.field == "spec.sampler"
    assert refusal.value.reason


async def test_a_server_that_is_not_there_is_unavailable(gateway: GatewayProcess) -> None:
    gateway.kill()
    async with AsyncClient(gateway.address) as client:
        with pytest.raises(UnavailableError):
            await client.list_models()


async def test_a_watcher_sees_every_event_once_through_a_killed_gateway(
    gateway: GatewayProcess,
) -> None:
    seen: list[video_pb2.VideoEvent] = []
    half_seen = asyncio.Event()

    async def watch(client: AsyncClient, name: str) -> None:
        async for event in client.watch_video(name):
            seen.append(event)
            if event.step_finished.step_index == NUM_STEPS // 2:
                half_seen.set()

    async with AsyncClient(gateway.address) as client:
        video = await client.create_video("a red circle")
        watching = asyncio.create_task(watch(client, video.name))
        assignment = await claim(gateway.jobs, lease_seconds=60)
        assert assignment is not None
        for step_index in range(1, NUM_STEPS + 1):
            await gateway.jobs.finish_step(assignment.lease, make_step(step_index))
            if step_index == NUM_STEPS // 2:
                await half_seen.wait()
                gateway.kill()
        gateway.start()
        await gateway.jobs.complete(assignment.lease, [])
        await watching

    steps = [event.step_finished.step_index for event in seen if event.HasField("step_finished")]
    assert steps == list(range(1, NUM_STEPS + 1))
    assert len({event.event_id for event in seen}) == len(seen)
    assert seen[-1].state_changed.state == video_pb2.Video.STATE_SUCCEEDED


async def test_a_download_goes_on_after_broken_connections(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    content = random.Random(1).randbytes(8 << 20)
    proxy = BreakingProxy(gateway.port, num_breaks=3, break_bytes=2 << 20)
    async with proxy.serve() as address, AsyncClient(gateway.address) as direct:
        video = await direct.create_video("a red circle")
        await gateway.finish(content)
        async with AsyncClient(address) as client:
            artifact = await client.download_video(video.name, tmp_path / "out.mp4")
    assert artifact.artifact_id == "video.mp4"
    assert proxy.num_connections > 3
    assert (tmp_path / "out.mp4").read_bytes() == content


async def test_a_call_is_made_again_after_broken_connections(gateway: GatewayProcess) -> None:
    proxy = BreakingProxy(gateway.port, num_breaks=2, break_bytes=0)
    async with proxy.serve() as address, AsyncClient(address) as client:
        video = await client.create_video("a red circle")
        assert [found.name async for found in client.list_videos()] == [video.name]
        assert (await client.get_usage()).num_open_videos == 1
    assert proxy.num_connections > 2


async def test_a_key_is_not_made_twice(gateway: GatewayProcess) -> None:
    proxy = BreakingProxy(gateway.port, num_breaks=1, break_bytes=0)
    async with proxy.serve() as address, AsyncClient(address) as client:
        with pytest.raises(UnavailableError):
            await client.create_api_key(account_pb2.ApiKey(scopes=["videos:read"]))
        assert [key async for key in client.list_api_keys()] == []


async def test_leaving_a_watch_frees_its_stream(gateway: GatewayProcess) -> None:
    async with AsyncClient(gateway.address) as client:
        video = await client.create_video("a red circle")
        events = client.watch_video(video.name)
        first = await anext(events)
        assert first.state_changed.state == video_pb2.Video.STATE_QUEUED
        await events.aclose()
        assert (await client.get_video(video.name)).name == video.name
