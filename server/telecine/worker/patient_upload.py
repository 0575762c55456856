"""Stores finished files, however long the object store is away: they are not made twice."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from telecine.errors import ObjectStoreUnavailableError
from telecine.storage.object_store import StoredObject
from telecine.worker.held_video import HeldVideo

_log = structlog.get_logger(__name__)
_FIRST_RETRY_SECONDS = 0.2
_LONGEST_RETRY_SECONDS = 10.0


async def upload_patiently(
    held: HeldVideo, upload: Callable[[], Awaitable[StoredObject]]
) -> StoredObject:
    """Repeats `upload`, with pauses that grow, while the store cannot be reached.

    The client is told once that the video waits and once that it does no more.
    """
    pause_seconds = _FIRST_RETRY_SECONDS
    has_failed = False
    while True:
        try:
            stored = await upload()
            break
        except ObjectStoreUnavailableError as error:
            _log.warning("not_uploaded", video=held.video.name, error=str(error))
            if not has_failed:
                await held.notify(
                    error.reason, "the object store cannot be reached; the finished video waits"
                )
            has_failed = held.has_waited = True
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(2 * pause_seconds, _LONGEST_RETRY_SECONDS)
    if has_failed:
        await held.notify("OBJECT_STORE_AVAILABLE", "the object store is back")
    return stored
