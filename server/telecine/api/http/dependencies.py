"""What routes are handed: the rooms below, who calls, and parameters that many share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path, Request, Response
from starlette.requests import HTTPConnection

from telecine.api.auth.credentials import only_headers
from telecine.api.auth.method_scopes import require_scope
from telecine.api.caller import Caller, Scope
from telecine.api.gateway_parts import GatewayParts
from telecine.api.http import text_forms
from telecine.api.rate_limiter import rate_limit_headers

_READS = frozenset({"GET", "HEAD"})
_MODELS = "/v1/models"  # every caller may know them, as by gRPC
_READING_POSTS = frozenset({"/v1/videos/estimate"})


async def parts_of(connection: HTTPConnection) -> GatewayParts:
    """Returns the rooms below the gateway that answers."""
    parts: GatewayParts = connection.app.state.parts
    return parts


Parts = Annotated[GatewayParts, Depends(parts_of)]


async def caller_of(connection: HTTPConnection, parts: Parts) -> Caller:
    """Returns who makes a request or opens a WebSocket; every route depends on it.

    Raises:
        UnauthenticatedError: nobody whom the service knows.
        PermissionDeniedError: the caller may not read, or not write.
        RateLimitedError: the request came too early.
    """
    headers = only_headers(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in connection.headers.raw
    )
    caller = await parts.authenticator.authenticate(headers)
    if not connection.scope["path"].startswith(_MODELS):
        require_scope(Scope.VIDEOS_READ if _only_reads(connection) else Scope.VIDEOS_WRITE, caller)
    if parts.rate_limiter is not None:
        state = await parts.rate_limiter.admit(caller)
        connection.state.headers = {} if state is None else rate_limit_headers(state)
    return caller


def _only_reads(connection: HTTPConnection) -> bool:
    scope = connection.scope
    is_read = scope["type"] == "websocket" or scope["method"] in _READS
    return is_read or scope["path"] in _READING_POSTS


CallerOf = Annotated[Caller, Depends(caller_of)]


@dataclass(frozen=True)
class Call:
    """A request under way: what it is answered from, for whom, and what the answer carries."""

    request: Request
    response: Response
    parts: GatewayParts
    caller: Caller


async def call_of(request: Request, response: Response, parts: Parts, caller: CallerOf) -> Call:
    """Returns the request that a route answers."""
    return Call(request, response, parts, caller)


CallOf = Annotated[Call, Depends(call_of)]
VideoId = Annotated[
    str, Path(pattern=text_forms.ID, description="The video's id, as in its `id` field.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=text_forms.PRINTABLE,
        description="Makes the request safe to repeat: the same key with the same body returns "
        "the same video, with another body 422.",
    ),
]
