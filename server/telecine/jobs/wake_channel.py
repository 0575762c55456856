"""Wakes workers when a video was queued."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from telecine.jobs.keys import wake_key
from telecine.jobs.redis_client import blocking_twin, translated_errors

_BEGINNING = b"0-0"  # from the very first entry: at worst the first wait returns at once
_ANSWER_SECONDS = 5.0  # how late Redis may answer before it counts as gone


class WakeChannel:
    """A blocking read on the wake stream that misses nothing between two waits."""

    def __init__(self, redis: Redis, queue: str) -> None:
        self._client = redis
        self._key = wake_key(queue)
        self._blocking: Redis | None = None
        self._seen = _BEGINNING

    async def wait(self, timeout_seconds: float) -> None:
        """Returns when something was queued since the last wait, or after the time-out.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        if self._blocking is None:
            self._blocking = blocking_twin(self._client)
        block = max(1, int(timeout_seconds * 1000))
        # A Redis that comes back with its clock set back gives ids that lie behind: after an
        # error the next wait returns at once.
        seen, self._seen = self._seen, _BEGINNING
        with translated_errors():
            async with asyncio.timeout(timeout_seconds + _ANSWER_SECONDS):
                answer: Any = await self._blocking.xread({self._key: seen}, block=block)
        self._seen = answer[0][1][-1][0] if answer else seen

    async def close(self) -> None:
        """Closes its connection."""
        if self._blocking is not None:
            await self._blocking.aclose()
            self._blocking = None
