"""A file comes whole from any offset, so that a broken download goes on."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from telecine.v1 import video_pb2, video_service_pb2

Refused = Callable[[Awaitable[object]], Awaitable[Any]]

CONTENT = bytes(range(256)) * 10_000  # 2.5 MB: three messages


@pytest.fixture
async def video(gateway: Any) -> video_pb2.Video:
    await gateway.create()
    finished: video_pb2.Video = await gateway.finish(await gateway.claim(), CONTENT)
    return finished


def download(name: str, **fields: Any) -> video_service_pb2.DownloadVideoRequest:
    return video_service_pb2.DownloadVideoRequest(name=name, **fields)


async def received(call: Any) -> bytes:
    return b"".join([response.data async for response in call])


async def test_first_message_describes_the_file(gateway: Any, video: video_pb2.Video) -> None:
    call = gateway.videos.DownloadVideo(download(video.name))
    responses = [response async for response in call]
    assert responses[0].artifact == video.artifacts[0]
    assert all(len(response.data) <= 1024 * 1024 for response in responses)
    content = b"".join(response.data for response in responses)
    assert responses[0].artifact.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert content == CONTENT


async def test_broken_download_goes_on_where_it_stopped(
    gateway: Any, video: video_pb2.Video
) -> None:
    call = gateway.videos.DownloadVideo(download(video.name))
    await call.read()
    begin = (await call.read()).data
    call.cancel()
    request = download(video.name, artifact_id="video.mp4", read_offset=len(begin))
    assert begin + await received(gateway.videos.DownloadVideo(request)) == CONTENT


async def test_limit_bounds_what_comes(gateway: Any, video: video_pb2.Video) -> None:
    request = download(video.name, read_offset=1000, read_limit=10)
    assert await received(gateway.videos.DownloadVideo(request)) == CONTENT[1000:1010]
    request = download(video.name, read_offset=1000, read_limit=2**62)
    assert await received(gateway.videos.DownloadVideo(request)) == CONTENT[1000:]


async def test_offset_at_the_end_gives_no_bytes(gateway: Any, video: video_pb2.Video) -> None:
    request = download(video.name, read_offset=len(CONTENT))
    assert await received(gateway.videos.DownloadVideo(request)) == b""


@pytest.mark.parametrize(
    ("code", "field", "fields"),
    [
        (grpc.StatusCode.OUT_OF_RANGE, "read_offset", {"read_offset": len(CONTENT) + 1}),
        (grpc.StatusCode.OUT_OF_RANGE, "read_offset", {"read_offset": 2**62}),
        (grpc.StatusCode.INVALID_ARGUMENT, "read_offset", {"read_offset": -1}),
        (grpc.StatusCode.INVALID_ARGUMENT, "read_limit", {"read_limit": -1}),
        (grpc.StatusCode.NOT_FOUND, "artifact_id", {"artifact_id": "../../secret"}),
        (grpc.StatusCode.NOT_FOUND, "artifact_id", {"artifact_id": "absent.mp4"}),
    ],
)
async def test_bad_download_is_refused(
    gateway: Any, refused: Refused, video: video_pb2.Video, code: Any, field: str, fields: Any
) -> None:
    call = gateway.videos.DownloadVideo(download(video.name, **fields))
    refusal = await refused(received(call))
    assert (refusal.code, refusal.field) == (code, field)


async def test_file_that_is_not_there_is_named_as_it_was_asked_for(
    gateway: Any, refused: Refused, video: video_pb2.Video
) -> None:
    call = gateway.videos.DownloadVideo(download(video.name, artifact_id="absent.mp4"))
    refusal = await refused(received(call))
    assert refusal.metadata["resource_name"] == f"{video.name}/artifacts/absent.mp4"


async def test_video_that_is_not_done_has_no_files(gateway: Any, refused: Refused) -> None:
    queued = await gateway.create()
    refusal = await refused(received(gateway.videos.DownloadVideo(download(queued.name))))
    assert refusal.code == grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.metadata["state"] == "QUEUED"
