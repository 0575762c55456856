"""What routes are handed: the rooms below, who calls, and parameters that many share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path, Request, Response
from starlette.requests import HTTPConnection

from telecine.api.caller import LOCAL_CALLER, Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.request_validation import RESOURCE_ID


async def parts_of(connection: HTTPConnection) -> GatewayParts:
    """Returns the rooms below the gateway that answers."""
    parts: GatewayParts = connection.app.state.parts
    return parts


async def caller_of(connection: HTTPConnection) -> Caller:  # noqa: ARG001
    """Returns who makes a request or opens a WebSocket; every route depends on it."""
    return LOCAL_CALLER


Parts = Annotated[GatewayParts, Depends(parts_of)]
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
    str, Path(pattern=f"^{RESOURCE_ID}$", description="The video's id, as in its `id` field.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Makes the request safe to repeat: the same key with the same body returns "
        "the same video, with another body 422.",
    ),
]
