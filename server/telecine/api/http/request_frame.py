"""What stands around every HTTP request: its id, its limits, and errors that nobody expected."""

import asyncio
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telecine.api.http.error_answers import answer_for
from telecine.errors import BodyTooLargeError, InvalidFieldError, UploadIdleError

MAX_BODY_BYTES = 64 * 1024
MAX_IMAGE_BODY_BYTES = 24 * 1024 * 1024  # an image of 16 MiB as a data: URL
MAX_VIDEO_BODY_BYTES = 258 * 1024 * 1024

_BODY_LIMITS: Mapping[str, int] = {
    "/v1/videos": MAX_IMAGE_BODY_BYTES,
    "/v1/videos/edits": MAX_VIDEO_BODY_BYTES,
    "/v1/videos/extensions": MAX_VIDEO_BODY_BYTES,
    "/v1/videos/characters": MAX_VIDEO_BODY_BYTES,
}
# A URL ends up in logs and histories, where a key must not be.
_KEY_PARAMETERS = frozenset(
    {"key", "api_key", "apikey", "api-key", "x-api-key", "access_token", "token", "authorization"}
)


class RequestFrame:
    """An ASGI middleware; the outermost of ours.

    Args:
        app: what it stands around.
        idle_seconds: how long a body may bring nothing.
    """

    def __init__(self, app: ASGIApp, *, idle_seconds: float) -> None:
        self._app = app
        self._idle_seconds = idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request or serves a WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, scope, request_id=f"req_{secrets.token_hex(12)}")
        try:
            _refuse_keys(scope)
            limited = _limited(receive, scope, self._idle_seconds)
            await self._app(scope, limited if scope["type"] == "http" else receive, answer.send)
        except Exception as error:
            if answer.is_begun or scope["type"] == "websocket":
                raise
            await answer_for(error)(scope, receive, answer.send)


class _Answer:
    """Sends an answer, with the request's id in its headers, and those that its route has set."""

    def __init__(self, send: Send, scope: Scope, *, request_id: str) -> None:
        self._send = send
        self._scope = scope
        self._request_id = request_id
        self.is_begun = False

    async def send(self, message: Message) -> None:
        """Passes one message on."""
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            self.is_begun = True
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            headers.update(self._scope.get("state", {}).get("headers", {}))
        await self._send(message)


def _refuse_keys(scope: Scope) -> None:
    for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if name.lower() in _KEY_PARAMETERS:
            raise InvalidFieldError(name, "does not belong in a URL; use the header Authorization")


def _limited(receive: Receive, scope: Scope, idle_seconds: float) -> Receive:
    """Returns a receiver that counts a body's bytes as they come, and does not wait for ever."""
    limit = _BODY_LIMITS.get(scope["path"], MAX_BODY_BYTES)
    received, is_complete = 0, False
    _check_declared(scope, limit)

    async def receive_limited() -> Message:
        nonlocal received, is_complete
        if is_complete:
            return await receive()  # only a disconnect can follow, whenever
        try:
            async with asyncio.timeout(idle_seconds):
                message = await receive()
        except TimeoutError:
            raise UploadIdleError(f"nothing came for {idle_seconds:g} s") from None
        received += len(message.get("body", b""))
        is_complete = not message.get("more_body", False)
        if received > limit:
            raise _too_large(limit)
        return message

    return receive_limited


def _check_declared(scope: Scope, limit: int) -> None:
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limit:
            raise _too_large(limit)


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"the body has more than {limit} bytes")
