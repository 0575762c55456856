"""Several videos of one spec, each with a seed of its own."""

import hashlib
from contextlib import suppress

from telecine.api.caller import Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.video_spec import MAX_SEED
from telecine.api.videos import create_video, fingerprint_of
from telecine.errors import InvalidFieldError, TelecineError, UnavailableError, VideoStateError
from telecine.v1 import video_pb2, video_service_pb2

MAX_VIDEOS = 16
MAX_ID_CHARACTERS = 60  # what each video's own number leaves of a request id


async def batch_create_videos(
    parts: GatewayParts,
    request: video_service_pb2.BatchCreateVideosRequest,
    *,
    caller: Caller,
    fingerprint: bytes = b"",
) -> video_service_pb2.BatchCreateVideosResponse:
    """Queues all of them or none; a repeat with the same request id returns the same videos.

    A `fingerprint` tells a repeat from another request where the spec as sent cannot.

    Raises:
        UnavailableError: a part of the service went away meanwhile; a repeat goes on.
    """
    if not 1 <= request.num_videos <= MAX_VIDEOS:
        raise InvalidFieldError("num_videos", f"{request.num_videos} is not from 1 to {MAX_VIDEOS}")
    if len(request.request_id) > MAX_ID_CHARACTERS:
        raise InvalidFieldError("request_id", f"has more than {MAX_ID_CHARACTERS} characters")
    if request.spec.seed > MAX_SEED - request.num_videos:
        raise InvalidFieldError("spec.seed", f"leaves no {request.num_videos} seeds from it on")
    fingerprint = batch_fingerprint(fingerprint or fingerprint_of(request.spec), request.num_videos)
    response = video_service_pb2.BatchCreateVideosResponse()
    try:
        for index in range(request.num_videos):
            single = _request_of(request, index)
            video = await create_video(parts, single, caller=caller, fingerprint=fingerprint)
            response.videos.append(video)
    except UnavailableError:
        raise
    except TelecineError:
        for video in response.videos:
            await _take_back(parts, video)
        raise
    return response


def batch_fingerprint(fingerprint: bytes, num_videos: int) -> bytes:
    """Returns what tells a repeat from a request for as many other videos, or for more of them."""
    return hashlib.sha256(fingerprint + num_videos.to_bytes(4, "big")).digest()


def request_id_of(request_id: str, index: int) -> str:
    """Returns the request id of one of the videos; the first has that of the whole."""
    return f"{request_id}.{index}" if request_id and index else request_id


def _request_of(
    request: video_service_pb2.BatchCreateVideosRequest, index: int
) -> video_service_pb2.CreateVideoRequest:
    single = video_service_pb2.CreateVideoRequest(
        spec=request.spec,
        request_id=request_id_of(request.request_id, index),
        webhook_url=request.webhook_url,
    )
    if request.spec.HasField("seed"):
        single.spec.seed = request.spec.seed + index
    return single


async def _take_back(parts: GatewayParts, video: video_pb2.Video) -> None:
    await parts.jobs.cancel(video.name)
    with suppress(VideoStateError):  # a worker has it already, and ends it
        await parts.jobs.delete(video.name)
