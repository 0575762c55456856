"""Streams a file while it is made, in the pieces that its worker announces."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from telecine.api.followed_file import FollowedFile, Fragment
from telecine.api.gateway_parts import GatewayParts
from telecine.api.stored_files import (
    CHUNK_BYTES,
    check_offset,
    ended_error,
    find_artifact,
    has_ended,
    read_artifact,
)
from telecine.errors import NotFoundError
from telecine.storage.keys import piece_key
from telecine.v1 import video_pb2, video_service_pb2

LIVE_ID = "live.mp4"
# Its size and digest are not known before its end.
_GROWING = video_pb2.Artifact(
    artifact_id=LIVE_ID, kind=video_pb2.Artifact.KIND_LIVE_VIDEO, content_type="video/mp4"
)

Response = video_service_pb2.DownloadVideoResponse
Responses = AsyncGenerator[Response, None]


def follow_video(
    parts: GatewayParts, request: video_service_pb2.DownloadVideoRequest, *, tenant: str
) -> Responses:
    """Yields a file's description, its bytes as they come, and the description of the whole.

    A file that does not grow is waited for. No more than a piece is held for a slow client.

    Raises:
        LiveFileChangedError: another attempt gave other bytes than those sent.
        VideoEndedError: the video ended without the file.
    """
    responses = _follow(parts, request, tenant)
    return _limited(responses, request.read_limit) if request.read_limit else responses


async def _follow(
    parts: GatewayParts, request: video_service_pb2.DownloadVideoRequest, tenant: str
) -> Responses:
    video = await parts.jobs.get(request.name, tenant=tenant)
    artifact_id = request.artifact_id
    file = FollowedFile(position=request.read_offset, attempt=video.attempt)
    if not has_ended(video):
        is_live = video.spec.tier == video_pb2.TIER_REALTIME
        if is_live and artifact_id in {"", LIVE_ID}:
            async with aclosing(_send_growth(parts, video.name, file)) as growth:
                async for response in growth:
                    yield response
            if file.position:
                artifact_id = LIVE_ID  # no other file goes on where it stopped
        else:
            await _until_ended(parts, video.name)
        video = await parts.jobs.get(video.name)
    rest = _send_rest(parts, video, artifact_id, file.position)
    async with aclosing(rest):
        async for response in rest:
            yield response


async def _send_growth(parts: GatewayParts, name: str, file: FollowedFile) -> Responses:
    """Yields the growing file's description, and its pieces until the video ends."""
    yield Response(artifact=_GROWING)
    async with aclosing(parts.hub.watch(name)) as events:
        async for event in events:
            if event.fragment_ready.artifact_id != LIVE_ID:
                continue
            async with aclosing(_next_bytes(parts, name, event.fragment_ready, file)) as chunks:
                async for data in chunks:
                    yield Response(data=data)


async def _until_ended(parts: GatewayParts, name: str) -> None:
    async with aclosing(parts.hub.watch(name)) as events:
        async for _ in events:
            pass


async def _next_bytes(
    parts: GatewayParts, name: str, piece: Fragment, file: FollowedFile
) -> AsyncGenerator[bytes, None]:
    """Yields what a piece adds to what the follower has."""
    start = file.next_part(piece)
    if start is None:
        return
    chunks = parts.objects.read(
        piece_key(name, attempt=piece.attempt, offset=piece.offset),
        offset=start,
        chunk_bytes=CHUNK_BYTES,
    )
    # Gone, or never stored: then it is in the whole file, once the video has ended.
    with suppress(NotFoundError):
        async with aclosing(chunks):
            async for data in chunks:
                file.position += len(data)
                yield data


async def _send_rest(
    parts: GatewayParts, video: video_pb2.Video, artifact_id: str, position: int
) -> Responses:
    """Yields what is left of a video's file, now that the video has ended."""
    artifact = _find_followed(video, artifact_id)
    check_offset(artifact, position)
    yield Response(artifact=artifact)
    chunks = read_artifact(parts, video, artifact, offset=position)
    async with aclosing(chunks):
        async for data in chunks:
            yield Response(data=data)


def _find_followed(video: video_pb2.Video, artifact_id: str) -> video_pb2.Artifact:
    if video.state != video_pb2.Video.STATE_SUCCEEDED:
        raise ended_error(video)
    if not artifact_id:
        with suppress(NotFoundError):
            return find_artifact(video, "", default=video_pb2.Artifact.KIND_LIVE_VIDEO)
    return find_artifact(video, artifact_id)


async def _limited(responses: Responses, limit: int) -> Responses:
    async with aclosing(responses):
        async for response in responses:
            data = response.data[:limit]
            limit -= len(data)
            yield response if len(data) == len(response.data) else Response(data=data)
            if not limit:
                return
