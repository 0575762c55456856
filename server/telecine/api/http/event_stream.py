"""Server-sent events, and other answers that go on for long, while their caller's key counts."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Send

from telecine.api.http.dependencies import Call
from telecine.api.http.error_answers import answer_for
from telecine.errors import QuotaExceededError, TelecineError, UnauthenticatedError

_RETRY_MILLISECONDS = 1000
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
EVENT_STREAM = {"text/event-stream": {"schema": {"type": "string"}}}
FAREWELL_SECONDS = 5.0  # for a client that does not read
HEARTBEAT = ": heartbeat\n\n"


class LongAnswer(StreamingResponse):
    """Bytes of a file; the connection breaks off where the caller's credentials end."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes | str, None],
        call: Call,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(chunks, status_code=status, media_type=media_type, headers=headers)
        self._chunks = chunks
        self._call = call

    async def stream_response(self, send: Send) -> None:
        """Sends the chunks."""
        try:
            async with (
                self._call.parts.open_streams.hold(self._call.caller),
                aclosing(self._chunks),
            ):
                await super().stream_response(send)
        except UnauthenticatedError as error:
            await self._break_off(send, error)
        except QuotaExceededError as error:  # before anything was sent
            request = self._call.request
            await answer_for(error)(request.scope, request.receive, send)

    async def _break_off(self, send: Send, error: UnauthenticatedError) -> None:  # noqa: ARG002
        raise ClientDisconnect  # nothing can be said any more, and what came is not the whole


class EventStream(LongAnswer):
    """Entries, and at their end what went wrong, if something did."""

    def __init__(self, entries: AsyncGenerator[str, None], call: Call) -> None:
        super().__init__(_told(entries), call, media_type="text/event-stream", headers=_HEADERS)

    async def _break_off(self, send: Send, error: UnauthenticatedError) -> None:
        body = _error_entry(error).encode()
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await send({"type": "http.response.body", "body": body, "more_body": False})
        except TimeoutError:
            raise ClientDisconnect from None


def entry(event_id: str, kind: str, data: str) -> str:
    """Returns one event; an empty id leaves the place as it is."""
    place = f"id: {event_id}\n" if event_id else ""
    return f"{place}event: {kind}\ndata: {data}\n\n"


async def _told(entries: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    yield f"retry: {_RETRY_MILLISECONDS}\n\n"
    try:
        async with aclosing(entries):
            async for text in entries:
                yield text
    except UnauthenticatedError:
        raise
    except TelecineError as error:
        yield _error_entry(error)


def _error_entry(error: TelecineError) -> str:
    return entry("", "error", bytes(answer_for(error).body).decode())
