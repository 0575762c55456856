"""Several videos of one spec, each with a seed of its own."""

from telecine.api.caller import Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.request_validation import check_request_id
from telecine.api.video_spec import MAX_SEED
from telecine.api.videos import fingerprint_of, submit_all
from telecine.errors import InvalidFieldError
from telecine.v1 import video_service_pb2

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

    A `fingerprint` tells a repeat from another request where the request as sent cannot.
    """
    videos = await submit_all(
        parts,
        singles_of(request),
        caller=caller,
        fingerprint=fingerprint or fingerprint_of(request),
    )
    return video_service_pb2.BatchCreateVideosResponse(videos=videos)


def singles_of(
    request: video_service_pb2.BatchCreateVideosRequest,
) -> list[video_service_pb2.CreateVideoRequest]:
    """Returns the requests for the videos one by one.

    Raises:
        InvalidFieldError: they are none, too many, or leave the numbers that there are.
    """
    if not 1 <= request.num_videos <= MAX_VIDEOS:
        raise InvalidFieldError("num_videos", f"{request.num_videos} is not from 1 to {MAX_VIDEOS}")
    if len(request.request_id) > MAX_ID_CHARACTERS:
        raise InvalidFieldError("request_id", f"has more than {MAX_ID_CHARACTERS} characters")
    check_request_id(request.request_id)
    if request.spec.seed > MAX_SEED - (request.num_videos - 1):
        raise InvalidFieldError("spec.seed", f"leaves no {request.num_videos} seeds from it on")
    return [_single_of(request, index) for index in range(request.num_videos)]


def _single_of(
    request: video_service_pb2.BatchCreateVideosRequest, index: int
) -> video_service_pb2.CreateVideoRequest:
    # The first has the id of the whole; that of no other can be a caller's own.
    numbered = f"{request.request_id}/{index}" if request.request_id and index else ""
    single = video_service_pb2.CreateVideoRequest(
        spec=request.spec,
        request_id=numbered or request.request_id,
        webhook_url=request.webhook_url,
    )
    if request.spec.HasField("seed"):
        single.spec.seed = request.spec.seed + index
    return single
