"""Streams an artifact's bytes from any offset."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from telecine.api.caller import Caller
from telecine.api.followed_downloads import follow_video
from telecine.api.gateway_parts import GatewayParts
from telecine.api.request_validation import check_video_name
from telecine.api.stored_files import check_offset, find_artifact, read_artifact
from telecine.errors import InvalidFieldError
from telecine.v1 import video_service_pb2


def download_video(
    parts: GatewayParts, request: video_service_pb2.DownloadVideoRequest, *, caller: Caller
) -> AsyncGenerator[video_service_pb2.DownloadVideoResponse, None]:
    """Yields the artifact's description, then its bytes from `read_offset` on.

    Raises:
        OutOfRangeError: the offset is past the end; the end itself gives no bytes.
        VideoStateError: the video has no files.
    """
    check_video_name(request.name)
    _check_not_negative("read_offset", request.read_offset)
    _check_not_negative("read_limit", request.read_limit)
    send = follow_video if request.follow else _send_stored
    return send(parts, request, tenant=caller.tenant)


async def _send_stored(
    parts: GatewayParts, request: video_service_pb2.DownloadVideoRequest, *, tenant: str
) -> AsyncGenerator[video_service_pb2.DownloadVideoResponse, None]:
    video = await parts.jobs.get(request.name, tenant=tenant)
    artifact = find_artifact(video, request.artifact_id)
    check_offset(artifact, request.read_offset)
    yield video_service_pb2.DownloadVideoResponse(artifact=artifact)
    chunks = read_artifact(
        parts, video, artifact, offset=request.read_offset, limit=request.read_limit
    )
    async with aclosing(chunks):
        async for data in chunks:
            yield video_service_pb2.DownloadVideoResponse(data=data)


def _check_not_negative(field: str, value: int) -> None:
    if value < 0:
        raise InvalidFieldError(field, f"{value} is negative")
