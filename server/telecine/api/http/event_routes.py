"""A video's events as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response, StreamingResponse

from telecine.api.http.dependencies import CallOf, VideoId
from telecine.api.http.error_answers import answer_for
from telecine.api.http.event_object import event_kind, event_text
from telecine.api.videos import watch_video
from telecine.errors import TelecineError
from telecine.v1 import video_pb2, video_service_pb2

router = APIRouter(prefix="/v1/videos", tags=["events"])

Events = AsyncGenerator[video_pb2.VideoEvent, None]

After = Annotated[str | None, Query(description="Only events after the one with this id.")]
HasPreviews = Annotated[
    bool, Query(alias="preview", description="Whether previews, which are large, are sent.")
]

# So long the first event may take to come before the answer begins without it: until then what
# is wrong with the request still has a status of its own.
_FIRST_EVENT_SECONDS = 1.0
_RETRY_MILLISECONDS = 1000
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@router.get(
    "/{video_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "The events, one `data:` line of JSON each.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The last event was seen: nothing follows."},
    },
)
async def watch_events(
    video_id: VideoId,
    call: CallOf,
    *,
    after: After = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
    preview: HasPreviews = True,
) -> Response:
    """Stream every event, past and coming, until the video's end; resume by `Last-Event-ID`."""
    request = watch_request(video_id, last_event_id or after, has_previews=preview)
    events = watch_video(call.parts, request, caller=call.caller)
    first = asyncio.ensure_future(anext(events, None))
    await asyncio.wait({first}, timeout=_FIRST_EVENT_SECONDS)
    if first.done() and first.result() is None:
        return Response(status_code=204)  # which has an EventSource not come again
    return StreamingResponse(
        _stream(first, events), media_type="text/event-stream", headers=_HEADERS
    )


def watch_request(
    video_id: str, after: str | None, *, has_previews: bool
) -> video_service_pb2.WatchVideoRequest:
    """Returns the call that a watcher's parameters stand for."""
    return video_service_pb2.WatchVideoRequest(
        name=f"videos/{video_id}", after_event_id=after or "", is_preview_omitted=not has_previews
    )


async def _stream(
    first: "asyncio.Future[video_pb2.VideoEvent | None]", events: Events
) -> AsyncGenerator[str, None]:
    yield f"retry: {_RETRY_MILLISECONDS}\n\n"
    try:
        event = await first
        while event is not None:
            yield _entry(event)
            event = await anext(events, None)
    except TelecineError as error:
        body = bytes(answer_for(error).body).decode()
        yield f"event: error\ndata: {body}\n\n"
    finally:
        first.cancel()
        await events.aclose()


def _entry(event: video_pb2.VideoEvent) -> str:
    if not event.event_id:
        return ": heartbeat\n\n"
    return f"id: {event.event_id}\nevent: {event_kind(event)}\ndata: {event_text(event)}\n\n"
