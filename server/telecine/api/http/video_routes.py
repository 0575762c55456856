"""Making, reading, listing, ending and removing videos."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from google.protobuf.timestamp_pb2 import Timestamp

from telecine.api import videos
from telecine.api.http.api_document import body_content
from telecine.api.http.creation import Creation, Source, create, creation_of
from telecine.api.http.dependencies import Call, CallOf, IdempotencyKey, VideoId
from telecine.api.http.derivation import place_image
from telecine.api.http.pages import page_fields
from telecine.api.http.references import reference_of
from telecine.api.http.request_body import read_body
from telecine.api.http.video_filters import (
    LABEL_PARAMETER,
    ListParameters,
    begin_behind,
    list_request_of,
)
from telecine.api.http.video_object import (
    DeletedVideo,
    VideoList,
    VideoObject,
    poll_headers,
    video_object,
)
from telecine.api.http.video_request import CreateBody, spec_of
from telecine.errors import InvalidFieldError, NotFoundError
from telecine.v1 import video_pb2, video_service_pb2

router = APIRouter(prefix="/v1/videos", tags=["videos"])

Made = VideoObject | VideoList


@router.post(
    "",
    status_code=202,
    openapi_extra=body_content("CreateBody"),
)
async def create_video(
    call: CallOf,
    idempotency_key: IdempotencyKey = None,
) -> Made:
    """Queue a video and answer at once; its `events_url` and `websocket_url` show how it goes.

    With `n` as many videos are queued, each with its own seed, and the answer is their list.
    """
    async with read_body(call, CreateBody) as body:
        spec = spec_of(body, prompt=body.prompt, seconds=body.seconds)
        given = reference_of(body.input_reference)
        source = None if given is None else Source(given, "image", "input_reference", place_image)
        creation = creation_of(spec, body, idempotency_key, source)
        made = await create(call.parts, creation, caller=call.caller)
    return answered_all(made, creation, call)


@router.get("", openapi_extra=LABEL_PARAMETER)
async def list_videos(call: CallOf, parameters: Annotated[ListParameters, Query()]) -> VideoList:
    """List the caller's videos, newest first unless `order` is `asc`."""
    query = list_request_of(parameters, call.request.query_params)
    if parameters.after is not None:
        begin_behind(query, await _place_of(parameters.after, call))
    page = await videos.list_videos(call.parts, query, caller=call.caller)
    return _listed(page.videos, call, has_more=bool(page.next_page_token))


@router.get("/{video_id}")
async def retrieve_video(video_id: VideoId, call: CallOf) -> VideoObject:
    """Return a video as it is now; `openai-poll-after-ms` says when to ask again."""
    query = video_service_pb2.GetVideoRequest(name=f"videos/{video_id}")
    return answered(await videos.get_video(call.parts, query, caller=call.caller), call)


@router.delete("/{video_id}")
async def delete_video(video_id: VideoId, call: CallOf) -> DeletedVideo:
    """Remove a video that has ended, with its files and events."""
    query = video_service_pb2.DeleteVideoRequest(name=f"videos/{video_id}")
    await videos.delete_video(call.parts, query, caller=call.caller)
    return DeletedVideo(id=video_id)


@router.post("/{video_id}/cancel")
async def cancel_video(video_id: VideoId, call: CallOf) -> VideoObject:
    """Stop a video within one step; its status becomes `failed` with the error `cancelled`."""
    query = video_service_pb2.CancelVideoRequest(name=f"videos/{video_id}")
    return answered(await videos.cancel_video(call.parts, query, caller=call.caller), call)


@router.post("/{video_id}/pause")
async def pause_video(video_id: VideoId, call: CallOf) -> VideoObject:
    """Set a video aside, a running one at the end of its slice."""
    query = video_service_pb2.PauseVideoRequest(name=f"videos/{video_id}")
    return answered(await videos.pause_video(call.parts, query, caller=call.caller), call)


@router.post("/{video_id}/resume")
async def resume_video(video_id: VideoId, call: CallOf) -> VideoObject:
    """Queue a paused video again; it goes on where it was."""
    query = video_service_pb2.ResumeVideoRequest(name=f"videos/{video_id}")
    return answered(await videos.resume_video(call.parts, query, caller=call.caller), call)


def answered(video: video_pb2.Video, call: Call) -> VideoObject:
    """Returns a video with the header for those who poll it."""
    call.response.headers.update(poll_headers(video))
    return video_object(video, call.request)


def answered_all(videos: Sequence[video_pb2.Video], creation: Creation, call: Call) -> Made:
    """Returns the videos of a request: one, or the list where several were asked for."""
    if creation.num_videos is None:
        return answered(videos[0], call)
    return _listed(videos, call, has_more=False)


def _listed(videos: Sequence[video_pb2.Video], call: Call, *, has_more: bool) -> VideoList:
    shown = [video_object(video, call.request) for video in videos]
    return VideoList(**page_fields(shown, has_more=has_more))


async def _place_of(video_id: str, call: Call) -> Timestamp:
    """Returns where in a list a video is, or was."""
    try:
        return await call.parts.jobs.find_place(f"videos/{video_id}", tenant=call.caller.tenant)
    except NotFoundError:
        raise InvalidFieldError("after", "is not the id of a video") from None
