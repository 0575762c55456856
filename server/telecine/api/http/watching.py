"""What server-sent events and WebSockets share: a watch that has begun, or was refused."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, TypeVar

import anyio
from fastapi import Query

from telecine.api.caller import Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.videos import watch_video
from telecine.jobs.video_feed import VideoChange
from telecine.v1 import video_pb2, video_service_pb2

ItemT = TypeVar("ItemT")
Events = AsyncGenerator[video_pb2.VideoEvent, None]

After = Annotated[str | None, Query(description="Only events after the one with this id.")]
HasPreviews = Annotated[
    bool, Query(alias="preview", description="Whether previews, which are large, are sent.")
]

# So long the first event may take to come before the answer begins without it: until then what
# is wrong with the request still has a status of its own.
_FIRST_EVENT_SECONDS = 1.0


async def begin_watch(
    parts: GatewayParts, video_id: str, after: str | None, *, has_previews: bool, caller: Caller
) -> Events | None:
    """Returns a video's events after `after`; None where the video has none after that.

    Raises:
        TelecineError: as watch_video does.
    """
    request = video_service_pb2.WatchVideoRequest(
        name=f"videos/{video_id}", after_event_id=after or "", is_preview_omitted=not has_previews
    )
    return await _begun(watch_video(parts, request, caller=caller))


async def begin_watch_all(
    parts: GatewayParts, after: str, *, caller: Caller
) -> AsyncGenerator[VideoChange, None]:
    """Returns the changes of all of a caller's videos.

    Raises:
        TelecineError: as VideoFeed.watch does.
    """
    changes = await _begun(parts.feed.watch(caller.tenant, after=after))
    assert changes is not None  # it has no end
    return changes


async def _begun(items: AsyncGenerator[ItemT, None]) -> AsyncGenerator[ItemT, None] | None:
    first = asyncio.ensure_future(anext(items, None))
    await asyncio.wait({first}, timeout=_FIRST_EVENT_SECONDS)
    if first.done() and first.result() is None:
        return None
    return _go_on(first, items)


async def _go_on(
    first: "asyncio.Future[ItemT | None]", items: AsyncGenerator[ItemT, None]
) -> AsyncGenerator[ItemT, None]:
    try:
        item = await first
        while item is not None:
            yield item
            item = await anext(items, None)
    finally:
        with anyio.CancelScope(shield=True):
            first.cancel()
            await asyncio.wait({first})
            await items.aclose()
