"""Removes uploads that nothing has used for long, and videos that ended long ago."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from telecine.api.gateway_parts import GatewayParts
from telecine.api.media_uploads import remove_media
from telecine.api.videos import remove_video
from telecine.errors import NotFoundError, UnavailableError

_POLL_SECONDS = 2.0
_AT_ONCE = 16
_HOLD_SECONDS = 60
_log = structlog.get_logger(__name__)


async def expire_media(parts: GatewayParts) -> None:
    """Removes uploads whose time is over, for ever; several gateways share the work."""
    await _expire(lambda: _remove_media(parts))


async def expire_videos(parts: GatewayParts, *, kept_seconds: float) -> None:
    """Removes videos that ended so long ago, for ever; several gateways share the work."""
    await _expire(lambda: _remove_videos(parts, kept_seconds))


async def _expire(remove_some: Callable[[], Awaitable[int]]) -> None:
    while True:
        try:
            num_removed = await remove_some()
        except UnavailableError:
            num_removed = 0
        if num_removed < _AT_ONCE:
            await asyncio.sleep(_POLL_SECONDS)


async def _remove_media(parts: GatewayParts) -> int:
    expired = await parts.media.claim_expired(max_media=_AT_ONCE, hold_seconds=_HOLD_SECONDS)
    for name in expired:
        await remove_media(parts, name)
    if expired:
        _log.info("uploads expired", num_expired=len(expired))
    return len(expired)


async def _remove_videos(parts: GatewayParts, kept_seconds: float) -> int:
    expired = await parts.jobs.claim_expired(
        kept_seconds=kept_seconds, max_videos=_AT_ONCE, hold_seconds=_HOLD_SECONDS
    )
    for name in expired:
        with suppress(NotFoundError):  # its owner was faster
            await remove_video(parts, name)
    if expired:
        _log.info("videos expired", num_expired=len(expired))
    return len(expired)
