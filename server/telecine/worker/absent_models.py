"""Models that a worker is to serve and whose registry was away when they were read."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from telecine.worker.model_registry import ModelRegistry, ModelSet, RegisteredModel

RETRY_SECONDS = 10.0
_log = structlog.get_logger(__name__)


class AbsentModels:
    """Reads them again now and then until they are there, or are known not to be."""

    def __init__(
        self,
        registry: ModelRegistry,
        weights: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._weights = tuple(weights)
        self._clock = clock
        self._retry_time = clock() + RETRY_SECONDS
        self._reading: asyncio.Task[ModelSet] | None = None

    def take_found(self) -> tuple[RegisteredModel, ...]:
        """Returns those that were found since it was last called; waits for nothing."""
        if self._reading is None:
            if self._weights and self._clock() >= self._retry_time:
                self._reading = asyncio.create_task(self._registry.read_all(self._weights))
            return ()
        if not self._reading.done():
            return ()
        found, self._reading = self._reading.result(), None
        self._retry_time = self._clock() + RETRY_SECONDS
        for rejected in found.rejected:
            if not rejected.may_come:
                _log.error("model_rejected", weights=rejected.weights, reason=rejected.reason)
        self._weights = tuple(rejected.weights for rejected in found.rejected if rejected.may_come)
        return found.models
