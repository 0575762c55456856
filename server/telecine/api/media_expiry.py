"""Removes uploads that nothing has used for long."""

import asyncio

import structlog

from telecine.api.gateway_parts import GatewayParts
from telecine.api.media_uploads import remove_media
from telecine.errors import UnavailableError

_POLL_SECONDS = 2.0
_AT_ONCE = 16
_HOLD_SECONDS = 60
_log = structlog.get_logger(__name__)


async def expire_media(parts: GatewayParts) -> None:
    """Removes those whose time is over, for ever; several gateways share the work."""
    while True:
        try:
            num_removed = await _remove_expired(parts)
        except UnavailableError:
            num_removed = 0
        if num_removed < _AT_ONCE:
            await asyncio.sleep(_POLL_SECONDS)


async def _remove_expired(parts: GatewayParts) -> int:
    expired = await parts.media.claim_expired(max_media=_AT_ONCE, hold_seconds=_HOLD_SECONDS)
    for name in expired:
        await remove_media(parts, name)
    if expired:
        _log.info("uploads expired", num_expired=len(expired))
    return len(expired)
