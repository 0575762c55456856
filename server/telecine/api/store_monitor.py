"""Keeps the health service true to whether the store can be reached."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from telecine.api.health_service import NOT_SERVING, SERVING, HealthServicer
from telecine.errors import StoreUnavailableError

_log = structlog.get_logger(__name__)


class StoreMonitor:
    """Probes the store over and over, from before it is there until the gateway stops.

    `probe_store` raises StoreUnavailableError where the store cannot be reached.
    """

    def __init__(
        self,
        probe_store: Callable[[], Awaitable[None]],
        health: HealthServicer,
        *,
        probe_seconds: float,
    ) -> None:
        self._probe_store = probe_store
        self._health = health
        self._probe_seconds = probe_seconds
        self._is_reachable: bool | None = None

    async def run(self) -> None:
        """Probes until cancelled."""
        while True:
            await self.probe()
            await asyncio.sleep(self._probe_seconds)

    async def probe(self) -> None:
        """Probes once and says so where something has changed."""
        try:
            async with asyncio.timeout(self._probe_seconds):
                await self._probe_store()
        except (StoreUnavailableError, TimeoutError) as error:
            await self._enter(is_reachable=False, message=f"the store is away: {error}")
        else:
            await self._enter(is_reachable=True, message="the store answers")

    async def _enter(self, *, is_reachable: bool, message: str) -> None:
        if is_reachable == self._is_reachable:
            return
        self._is_reachable = is_reachable
        log = _log.info if is_reachable else _log.warning
        log(message, **{"event.action": "store-probe"})
        await self._health.set(SERVING if is_reachable else NOT_SERVING)
