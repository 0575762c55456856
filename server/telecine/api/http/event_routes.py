"""A video's events, and the changes of all videos, as server-sent events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from telecine.api.http.dependencies import CallOf, VideoId
from telecine.api.http.event_object import event_kind, event_text
from telecine.api.http.event_stream import EVENT_STREAM, HEARTBEAT, EventStream, entry
from telecine.api.http.video_object import DeletedVideo, video_object
from telecine.api.http.watching import After, Events, HasPreviews, begin_watch, begin_watch_all
from telecine.jobs.video_feed import VideoChange

router = APIRouter(prefix="/v1/videos", tags=["events"])

_LastEventId = Annotated[str | None, Header(alias="Last-Event-ID")]


@router.get(
    "/events",
    response_class=Response,
    responses={
        200: {
            "description": "The changes: `event: video` with the video, `event: deleted`.",
            "content": EVENT_STREAM,
        },
    },
)
async def watch_all_events(
    call: CallOf,
    *,
    after: Annotated[str | None, Query(description="The id of the last entry seen.")] = None,
    last_event_id: _LastEventId = None,
) -> Response:
    """Stream the caller's videos that have not ended, then each one whenever it has changed.

    Resumed by `Last-Event-ID`, it begins with those that have changed since, ended ones too.
    """
    changes = await begin_watch_all(call.parts, last_event_id or after or "", caller=call.caller)
    return EventStream(_stream_changes(changes, call.request), call)


@router.get(
    "/{video_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "The events, one `data:` line of JSON each.",
            "content": EVENT_STREAM,
        },
        204: {"description": "The last event was seen: nothing follows."},
    },
)
async def watch_events(
    video_id: VideoId,
    call: CallOf,
    *,
    after: After = None,
    last_event_id: _LastEventId = None,
    preview: HasPreviews = True,
) -> Response:
    """Stream every event, past and coming, until the video's end; resume by `Last-Event-ID`."""
    events = await begin_watch(
        call.parts, video_id, last_event_id or after, has_previews=preview, caller=call.caller
    )
    if events is None:
        return Response(status_code=204)  # which has an EventSource not come again
    return EventStream(_stream(events), call)


async def _stream(events: Events) -> AsyncGenerator[str, None]:
    async with aclosing(events):
        async for event in events:
            if event.event_id:
                yield entry(event.event_id, event_kind(event), event_text(event))
            else:
                yield HEARTBEAT


async def _stream_changes(
    changes: AsyncGenerator[VideoChange, None], request: Request
) -> AsyncGenerator[str, None]:
    async with aclosing(changes):
        async for change in changes:
            if change.video is not None:
                video = video_object(change.video, request)
                yield entry(change.place, "video", video.model_dump_json())
            elif change.name is not None:
                gone = DeletedVideo(id=change.name.removeprefix("videos/"))
                yield entry(change.place, "deleted", gone.model_dump_json())
            elif change.is_gap:
                yield entry("", "gap", "{}")
            else:
                yield f"id: {change.place}\n{HEARTBEAT}" if change.place else HEARTBEAT
