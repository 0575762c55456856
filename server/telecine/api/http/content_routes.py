"""A video's files, whole or in parts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from telecine.api.followed_downloads import LIVE_ID, follow_video
from telecine.api.gateway_parts import GatewayParts
from telecine.api.http.byte_ranges import ByteRange, parse_range
from telecine.api.http.dependencies import Call, CallOf, VideoId
from telecine.api.http.error_answers import answer_for
from telecine.api.http.event_stream import LongAnswer
from telecine.api.stored_files import find_artifact, has_ended, read_artifact
from telecine.api.videos import get_video
from telecine.errors import (
    NotFoundError,
    OutOfRangeError,
    TelecineError,
    UnauthenticatedError,
)
from telecine.v1 import video_pb2, video_service_pb2

router = APIRouter(prefix="/v1/videos", tags=["videos"])

_Variant = Literal["video", "webm", "thumbnail", "spritesheet", "lip_sync"]
_WEBM_ID = "video.webm"
_KINDS = {
    "video": video_pb2.Artifact.KIND_VIDEO,
    "webm": video_pb2.Artifact.KIND_VIDEO,
    "thumbnail": video_pb2.Artifact.KIND_THUMBNAIL,
    "spritesheet": video_pb2.Artifact.KIND_SPRITESHEET,
    "lip_sync": video_pb2.Artifact.KIND_LIP_SYNC,
}
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_PLAIN = {"x-content-type-options": "nosniff"}
_FILES = {
    "video/mp4": _BYTES,
    "video/webm": _BYTES,
    "image/webp": _BYTES,
    "application/json": {},
}


@router.head("/{video_id}/content", response_class=Response, include_in_schema=False)
@router.get(
    "/{video_id}/content",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": _FILES},
        206: {"description": "The part asked for.", "content": _FILES},
        304: {"description": "The file is the one that the client has."},
    },
)
async def download_content(
    video_id: VideoId,
    call: CallOf,
    variant: Annotated[_Variant, Query(description="Which file.")] = "video",
) -> Response:
    """Send a file of a video that is completed; `Range` asks for a part of it."""
    query = video_service_pb2.GetVideoRequest(name=f"videos/{video_id}")
    video = await get_video(call.parts, query, caller=call.caller)
    return _answer_file(call, video, _find(video, variant))


@router.head("/{video_id}/live", response_class=Response, include_in_schema=False)
@router.get(
    "/{video_id}/live",
    response_class=Response,
    responses={
        200: {"description": "The file, as it grows.", "content": {"video/mp4": _BYTES}},
        206: {"description": "The part asked for.", "content": {"video/mp4": _BYTES}},
    },
)
async def follow_live(video_id: VideoId, call: CallOf) -> Response:
    """Send a realtime video while it is made, from its first frame; later as any other file."""
    query = video_service_pb2.GetVideoRequest(name=f"videos/{video_id}")
    video = await get_video(call.parts, query, caller=call.caller)
    if video.spec.tier != video_pb2.TIER_REALTIME:
        raise NotFoundError(f"{video.name}/live")
    if has_ended(video):
        return _answer_file(call, video, find_artifact(video, LIVE_ID))
    return LongAnswer(
        _followed(call, video.name) if call.request.method == "GET" else _nothing(),
        call,
        media_type="video/mp4",
        headers={**_PLAIN, "cache-control": "no-store", "x-accel-buffering": "no"},
    )


def _answer_file(call: Call, video: video_pb2.Video, artifact: video_pb2.Artifact) -> Response:
    headers = _headers(artifact, video.name.removeprefix("videos/"))
    if headers["etag"] in call.request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    has_same = call.request.headers.get("if-range", headers["etag"]) == headers["etag"]
    try:
        wanted = parse_range(
            call.request.headers.get("range") if has_same else None, artifact.size_bytes
        )
    except OutOfRangeError as error:
        return answer_for(error, {"content-range": f"bytes */{artifact.size_bytes}"})
    headers["content-length"] = str(wanted.size_bytes)
    if wanted.is_part:
        headers["content-range"] = wanted.content_range
    return LongAnswer(
        _read(call.parts, video, artifact, wanted) if call.request.method == "GET" else _nothing(),
        call,
        status=HTTPStatus.PARTIAL_CONTENT if wanted.is_part else HTTPStatus.OK,
        media_type=artifact.content_type,
        headers=headers,
    )


def _find(video: video_pb2.Video, variant: _Variant) -> video_pb2.Artifact:
    try:
        artifact_id = _WEBM_ID if variant == "webm" else ""
        return find_artifact(video, artifact_id, default=_KINDS[variant])
    except NotFoundError:
        raise NotFoundError(f"{video.name}/{variant}", field="variant") from None


async def _followed(call: Call, name: str) -> AsyncGenerator[bytes, None]:
    request = video_service_pb2.DownloadVideoRequest(name=name, artifact_id=LIVE_ID, follow=True)
    responses = follow_video(call.parts, request, tenant=call.caller.tenant)
    try:
        async with aclosing(responses):
            async for response in responses:
                if response.data:
                    yield response.data
    except UnauthenticatedError:
        raise
    except TelecineError:
        raise ClientDisconnect from None  # what came is not the whole, which an end would say


def _headers(artifact: video_pb2.Artifact, video_id: str) -> dict[str, str]:
    return {
        "accept-ranges": "bytes",
        "etag": f'"{artifact.digest.removeprefix("sha256:")}"',
        "cache-control": "private, max-age=31536000, immutable",
        "content-disposition": f'inline; filename="{video_id}-{artifact.artifact_id}"',
        **_PLAIN,
    }


def _read(
    parts: GatewayParts, video: video_pb2.Video, artifact: video_pb2.Artifact, wanted: ByteRange
) -> AsyncGenerator[bytes, None]:
    return read_artifact(parts, video, artifact, offset=wanted.start, limit=wanted.size_bytes)


async def _nothing() -> AsyncGenerator[bytes, None]:
    return
    yield b""
