"""A video's events as server-sent events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response, StreamingResponse

from telecine.api.http.dependencies import CallOf, VideoId
from telecine.api.http.error_answers import answer_for
from telecine.api.http.event_object import event_kind, event_text
from telecine.api.http.watching import After, Events, HasPreviews, begin_watch
from telecine.errors import TelecineError
from telecine.v1 import video_pb2

router = APIRouter(prefix="/v1/videos", tags=["events"])

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
    events = await begin_watch(
        call.parts, video_id, last_event_id or after, has_previews=preview, caller=call.caller
    )
    if events is None:
        return Response(status_code=204)  # which has an EventSource not come again
    return StreamingResponse(_stream(events), media_type="text/event-stream", headers=_HEADERS)


async def _stream(events: Events) -> AsyncGenerator[str, None]:
    yield f"retry: {_RETRY_MILLISECONDS}\n\n"
    try:
        async with aclosing(events):
            async for event in events:
                yield _entry(event)
    except TelecineError as error:
        body = bytes(answer_for(error).body).decode()
        yield f"event: error\ndata: {body}\n\n"


def _entry(event: video_pb2.VideoEvent) -> str:
    if not event.event_id:
        return ": heartbeat\n\n"
    return f"id: {event.event_id}\nevent: {event_kind(event)}\ndata: {event_text(event)}\n\n"
