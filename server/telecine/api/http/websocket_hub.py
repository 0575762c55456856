"""A video's events by WebSocket, from the same log as every other watch."""

import asyncio
import json
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Annotated, NoReturn

from fastapi import APIRouter, HTTPException, Path, WebSocket, WebSocketDisconnect
from starlette.status import (
    WS_1000_NORMAL_CLOSURE,
    WS_1008_POLICY_VIOLATION,
    WS_1011_INTERNAL_ERROR,
)

from telecine.api.http.dependencies import CallerOf, Parts, VideoId
from telecine.api.http.error_answers import answer_for
from telecine.api.http.event_object import event_text
from telecine.api.http.event_stream import FAREWELL_SECONDS
from telecine.api.http.watching import After, Events, HasPreviews, begin_watch
from telecine.errors import InvalidFieldError, TelecineError, UnavailableError

router = APIRouter(prefix="/v1/videos")

MAX_MESSAGE_BYTES = 4096


@router.websocket("/{video_id}/ws")
async def watch_by_websocket(
    websocket: WebSocket,
    video_id: Annotated[str, Path()],
    parts: Parts,
    caller: CallerOf,
    *,
    after: After = None,
    preview: HasPreviews = True,
) -> None:
    """Send every event as a message, until the video's end.

    A message `{"after": "ID"}` of the client has the events begin again after that one.
    """
    events = await begin_watch(parts, video_id, after, has_previews=preview, caller=caller)
    await websocket.accept()
    try:
        async with parts.open_streams.hold(caller):
            while (place := await _send_until_moved(websocket, events)) is not None:
                events = await begin_watch(
                    parts, video_id, place, has_previews=preview, caller=caller
                )
        await websocket.close(WS_1000_NORMAL_CLOSURE, "the video has ended")
    except TelecineError as error:
        await _close_with(websocket, error)
    except WebSocketDisconnect:
        return


@router.get("/{video_id}/ws", include_in_schema=False, response_model=None)
async def ask_for_upgrade(video_id: VideoId) -> NoReturn:  # noqa: ARG001
    """Say to one who came by plain HTTP what is here."""
    raise HTTPException(
        HTTPStatus.UPGRADE_REQUIRED,
        "this is a WebSocket; by plain HTTP the same events are at .../events",
        headers={"upgrade": "websocket", "connection": "upgrade"},
    )


async def _send_until_moved(websocket: WebSocket, events: Events | None) -> str | None:
    """Sends events; returns where the client wants to go on, None when all were sent."""
    if events is None:
        return None
    sending = asyncio.create_task(_send(websocket, events))
    listening = asyncio.create_task(_next_place(websocket))
    try:
        await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            return listening.result()
        sending.result()
        return None
    finally:
        for task in (sending, listening):
            task.cancel()
        await asyncio.wait({sending, listening})


async def _send(websocket: WebSocket, events: Events) -> None:
    # Waits for a slow client at each message; the log keeps what it has not read.
    async with aclosing(events):
        async for event in events:
            await websocket.send_text(event_text(event))


async def _next_place(websocket: WebSocket) -> str:
    try:
        message = json.loads(await websocket.receive_text())
        place = message["after"]
    except (ValueError, LookupError, TypeError):
        place = None
    if not isinstance(place, str):
        raise InvalidFieldError("message", 'is not of the form {"after": "ID"}')
    return place


async def _close_with(websocket: WebSocket, error: TelecineError) -> None:
    body = bytes(answer_for(error).body).decode()
    passes = isinstance(error, UnavailableError)
    code = WS_1011_INTERNAL_ERROR if passes else WS_1008_POLICY_VIOLATION
    with suppress(TimeoutError):  # then the connection is closed without a word
        async with asyncio.timeout(FAREWELL_SECONDS):
            await websocket.send_text(f'{{"type":"error",{body[1:]}')
            await websocket.close(code, error.reason)
