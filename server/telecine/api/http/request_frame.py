"""What stands around every HTTP request: its id, its limits, and errors that nobody expected."""

import re
import secrets
from collections.abc import Collection, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telecine.api.http.error_answers import answer_for, envelope
from telecine.api.upload_pace import UploadPace
from telecine.errors import BodyTooLargeError, InvalidFieldError, UploadIdleError

MAX_BODY_BYTES = 64 * 1024
MAX_CREATE_BODY_BYTES = 56 * 1024 * 1024  # an image of 16 MiB as a data: URL, and a track of 32
MAX_REMIX_BODY_BYTES = 34 * 1024 * 1024  # a track
MAX_DERIVED_BODY_BYTES = 290 * 1024 * 1024  # a video of 256 MiB, and a track
MAX_UPLOAD_BODY_BYTES = 258 * 1024 * 1024

_BODY_LIMITS: Mapping[str, int] = {
    "/v1/videos": MAX_CREATE_BODY_BYTES,
    "/v1/videos/edits": MAX_DERIVED_BODY_BYTES,
    "/v1/videos/extensions": MAX_DERIVED_BODY_BYTES,
    "/v1/videos/characters": MAX_UPLOAD_BODY_BYTES,
    "/v1/media": MAX_UPLOAD_BODY_BYTES,
}
_REMIX = re.compile(r"/v1/videos/[^/]+/remix")
# A URL ends up in logs and histories, where a key must not be.
_KEY_PARAMETERS = frozenset(
    {"key", "api_key", "apikey", "api-key", "x-api-key", "access_token", "token", "authorization"}
)
_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FOREIGN = envelope(
    HTTPStatus.FORBIDDEN,
    "the page's origin is not one of gateway.cors_origins",
    code="foreign_origin",
)


class RequestFrame:
    """An ASGI middleware; the outermost of ours.

    Args:
        app: what it stands around.
        idle_seconds: how long a body may bring nothing.
        origins: web pages of these origins may change things, beside our own; `*` for any.
        cors: what CORSMiddleware takes, for every answer; None where no origin is to read any.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        idle_seconds: float,
        origins: Collection[str] = (),
        cors: Mapping[str, Any] | None = None,
    ) -> None:
        self._cors = CORSMiddleware(app, **cors) if cors else None
        self._app = self._cors or app
        self._idle_seconds = idle_seconds
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request or serves a WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, idle_seconds=self._idle_seconds)
        answer = _Answer(send, scope, body)
        if _is_foreign(scope, self._origins):
            await _FOREIGN(scope, receive, answer.send)
            return
        try:
            _refuse_keys(scope)
            _check_framing(scope)
            body.check_declared()
            await self._app(scope, body.receive, answer.send)
        except ClientDisconnect:
            return  # nobody is there to answer
        except Exception as error:
            if answer.is_begun:
                raise
            await answer_for(error)(scope, receive, self._shared(answer.send, scope))

    def _shared(self, send: Send, scope: Scope) -> Send:
        """Returns what sends a refusal of ours as the answers from inside CORSMiddleware are sent.

        A page that may not read a refusal takes it for a broken connection, and sends all again.
        """
        if self._cors is None:
            return send
        return partial(self._cors.send, send=send, request_headers=Headers(scope=scope))


def _limit_of(path: str) -> int:
    """Returns how many bytes a body for a path may have."""
    limit = MAX_REMIX_BODY_BYTES if _REMIX.fullmatch(path) else MAX_BODY_BYTES
    return _BODY_LIMITS.get(path, limit)


class _Body:
    """A request's body, whose bytes are counted as they come and not waited for for ever."""

    def __init__(self, scope: Scope, receive: Receive, *, idle_seconds: float) -> None:
        self._receive = receive
        self._pace = UploadPace(idle_seconds)
        self._limit = _limit_of(scope["path"])
        self._num_bytes = 0
        headers = Headers(scope=scope)
        self._declared = int(headers.get("content-length", 0))
        has_body = self._declared > 0 or "transfer-encoding" in headers
        self.is_complete = scope["type"] == "websocket" or not has_body
        self._is_refused = False

    def check_declared(self) -> None:
        """Refuses a body that says of itself that it is too large."""
        if self._declared > self._limit:
            raise self._too_large()

    async def receive(self) -> Message:
        """Returns the next message."""
        if self.is_complete:
            return await self._receive()  # only a disconnect can follow, whenever
        try:
            async with self._pace.wait():
                message = await self._receive()
        except TimeoutError:
            self._is_refused = True
            raise self._pace.error() from None
        num_bytes = len(message.get("body", b""))
        self._pace.count(num_bytes)
        self._num_bytes += num_bytes
        self.is_complete = not message.get("more_body", False)
        if self._num_bytes > self._limit:
            raise self._too_large()
        return message

    async def read_rest(self) -> bool:
        """Reads what an answer did not need, within the limits; returns whether that was all.

        A connection that is closed with bytes unread may lose the answer on its way.
        """
        try:
            while not (self.is_complete or self._is_refused):
                await self.receive()
        except (BodyTooLargeError, UploadIdleError):
            pass
        return self.is_complete

    def _too_large(self) -> BodyTooLargeError:
        self._is_refused = True
        return BodyTooLargeError(f"the body has more than {self._limit} bytes")


class _Answer:
    """Sends an answer, with the request's id in its headers, and those that its route has set."""

    def __init__(self, send: Send, scope: Scope, body: _Body) -> None:
        self._send = send
        self._scope = scope
        self._body = body
        self.is_begun = False

    async def send(self, message: Message) -> None:
        """Passes one message on."""
        self.is_begun = True
        if message["type"] in _STARTS:
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = f"req_{secrets.token_hex(12)}"
            headers.update(self._scope.get("state", {}).get("headers", {}))
            if not await self._body.read_rest():
                headers["connection"] = "close"
        await self._send(message)


def _check_framing(scope: Scope) -> None:
    """Refuses what a proxy before us could have read as another request.

    Raises:
        InvalidFieldError: a header says something about the request that is not done here.
    """
    headers = Headers(scope=scope)
    if scope["http_version"] == "1.1" and len(headers.getlist("host")) != 1:
        raise InvalidFieldError("host", "must be there once")
    if headers.get("transfer-encoding", "chunked").lower() != "chunked":
        raise InvalidFieldError("transfer-encoding", "is not chunked alone")


def _is_foreign(scope: Scope, origins: frozenset[str]) -> bool:
    """Whether a web page of another origin wants to change something, or to watch.

    A browser sends a form, or opens a WebSocket, to any address that a page names; a gateway that
    asks for no key must not do what a page found on the web says.
    """
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if origin is None or scope.get("method") in _SAFE_METHODS:
        return False
    is_own = _is_of_host(origin, headers.get("host"))
    return not (is_own or origin in origins or "*" in origins)


def _is_of_host(origin: str, host: str | None) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:  # no page has such an origin
        return False


def _refuse_keys(scope: Scope) -> None:
    for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if name.lower() in _KEY_PARAMETERS:
            raise InvalidFieldError(name, "does not belong in a URL; use the header Authorization")
