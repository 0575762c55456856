"""Streams an artifact's bytes from any offset."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from telecine.api.gateway_parts import GatewayParts
from telecine.api.request_validation import check_video_name, shown
from telecine.errors import InvalidFieldError, NotFoundError, OutOfRangeError, VideoStateError
from telecine.storage.keys import artifact_key
from telecine.v1 import video_pb2, video_service_pb2

CHUNK_BYTES = 1024 * 1024


async def download_video(
    parts: GatewayParts, request: video_service_pb2.DownloadVideoRequest
) -> AsyncGenerator[video_service_pb2.DownloadVideoResponse, None]:
    """Yields the artifact's description, then its bytes from `read_offset` on.

    Raises:
        OutOfRangeError: the offset is past the end; the end itself gives no bytes.
        VideoStateError: the video has no files.
    """
    check_video_name(request.name)
    _check_not_negative("read_offset", request.read_offset)
    _check_not_negative("read_limit", request.read_limit)
    video = await parts.jobs.get(request.name)
    artifact = _find_artifact(video, request.artifact_id)
    if request.read_offset > artifact.size_bytes:
        raise OutOfRangeError(
            "read_offset", f"{request.read_offset} is past the end at {artifact.size_bytes}"
        )
    yield video_service_pb2.DownloadVideoResponse(artifact=artifact)
    chunks = parts.objects.read(
        artifact_key(video, artifact.artifact_id),
        offset=request.read_offset,
        limit=request.read_limit or artifact.size_bytes,
        chunk_bytes=CHUNK_BYTES,
    )
    async with aclosing(chunks):
        async for data in chunks:
            yield video_service_pb2.DownloadVideoResponse(data=data)


def _check_not_negative(field: str, value: int) -> None:
    if value < 0:
        raise InvalidFieldError(field, f"{value} is negative")


def _find_artifact(video: video_pb2.Video, artifact_id: str) -> video_pb2.Artifact:
    """Returns the artifact of that id, the video itself for an empty one."""
    for artifact in video.artifacts:
        is_video = artifact.kind == video_pb2.Artifact.KIND_VIDEO
        if artifact.artifact_id == artifact_id or (is_video and not artifact_id):
            return artifact
    if not video.artifacts:
        state = video_pb2.Video.State.Name(video.state).removeprefix("STATE_")
        raise VideoStateError(f"{video.name} is {state} and has no files", state=state)
    raise NotFoundError(f"{video.name}/artifacts/{shown(artifact_id)}", field="artifact_id")
