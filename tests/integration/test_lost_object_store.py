"""An S3 server that is away while a video is made and when it should be stored."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import S3Server

from telecine.inference.triton_server import TritonServer

from .conftest import ServiceMaker
from .long_video import finished, start_long_video
from .waiting import is_notice, next_event

pytestmark = pytest.mark.slow


@pytest.fixture
def own_s3(tmp_path: Path, s3_credentials: None) -> Iterator[S3Server]:
    """An S3 server that the test may stop and start."""
    with S3Server(tmp_path / "s3") as server:
        yield server


async def test_a_video_waits_for_s3_and_is_stored_when_it_is_back(
    make_service: ServiceMaker, triton_server: TritonServer, own_s3: S3Server
) -> None:
    own_s3.make_bucket("videos")
    service = make_service(triton_server.grpc_url)
    service.storage_url = own_s3.url("videos")
    service.start_worker(checkpoint_url=own_s3.url("videos", "checkpoints"))
    async with await service.start_gateway() as client:
        name = await start_long_video(client, at_step=3)
        await asyncio.to_thread(own_s3.stop)
        await next_event(client.watch_video(name), is_notice("OBJECT_STORE_UNAVAILABLE"))
        await asyncio.to_thread(own_s3.start)
        await next_event(client.watch_video(name), is_notice("OBJECT_STORE_AVAILABLE"))
        video = await finished(client, name)
        assert video.attempt == 1
        content = b"".join([chunk async for chunk in client.read_video(name)])
        assert len(content) == video.artifacts[0].size_bytes
