"""Waits for a model server that is away, and repairs it when it is back."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from telecine.errors import ModelError, ModelServerUnavailableError
from telecine.inference.triton_client import TritonClient
from telecine.worker.interruptions import HandBack

_log = structlog.get_logger(__name__)
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
# A repair that begins late is given this long all the same.
_LEAST_REPAIR_SECONDS = 10.0


class ModelServerWatch:
    """Says whether the model server can be used.

    A server that answers and cannot be repaired in time, since it hangs, counts as away for as
    long as a video is kept: the next ones go to other workers.

    Attributes:
        patience_seconds: how long a video is kept here while the model server is away,
            before another worker may have it.
        was_ready: whether it answered when it was last asked.
    """

    def __init__(
        self, triton: TritonClient, *, patience_seconds: float, draining: asyncio.Event
    ) -> None:
        self.patience_seconds = patience_seconds
        self.was_ready = False
        self._hangs_until = 0.0
        self._triton = triton
        self._draining = draining

    async def is_ready(self) -> bool:
        """Whether the server answers, and is not known to hang."""
        try:
            is_answering = await self._triton.is_ready()
        except ModelServerUnavailableError:
            is_answering = False
        if not is_answering:
            self._hangs_until = 0.0  # it will come back as another one
        self.was_ready = is_answering and time.monotonic() >= self._hangs_until
        return self.was_ready

    async def require_ready(self) -> None:
        """Raises ModelServerUnavailableError where the server does not answer."""
        if not await self.is_ready():
            raise ModelServerUnavailableError("the model server does not answer")

    async def wait_until_ready(self) -> None:
        """Returns once the server answers; raises as `wait_until_repaired` does."""
        await self._wait_until(self.is_ready)

    async def wait_until_repaired(self, model_id: str) -> None:
        """Returns once the model can be used again.

        Raises:
            HandBack: that took longer than `patience_seconds`, or the worker drains.
        """
        await self._wait_until(lambda: self._try_repair(model_id))

    async def _wait_until(self, is_done: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + self.patience_seconds
        pause_seconds = _FIRST_PAUSE_SECONDS
        while not await self._within_patience(is_done(), deadline):
            if self._draining.is_set():
                raise HandBack("WORKER_DRAINED")
            if time.monotonic() > deadline:
                raise HandBack(ModelServerUnavailableError.reason)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    async def _within_patience(self, look: Awaitable[bool], deadline: float) -> bool:
        least_seconds = min(self.patience_seconds, _LEAST_REPAIR_SECONDS)
        try:
            async with asyncio.timeout(max(least_seconds, deadline - time.monotonic())):
                return await look
        except TimeoutError:
            _log.warning("model_server_hangs")
            self._hangs_until = time.monotonic() + self.patience_seconds
            return False

    async def _try_repair(self, model_id: str) -> bool:
        if not await self.is_ready():
            return False
        try:
            await self._triton.repair(model_id)
        except (ModelServerUnavailableError, ModelError) as error:
            _log.warning("repair_failed", model=model_id, error=str(error))
            return False
        return True
