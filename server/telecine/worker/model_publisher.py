"""Tells gateways which models this worker serves, and waiting videos why they wait."""

import asyncio
from collections.abc import Sequence

import structlog

from telecine.errors import ModelServerUnavailableError, StoreUnavailableError
from telecine.jobs.job_store import JobStore
from telecine.jobs.model_directory import ModelDirectory
from telecine.worker.model_registry import RegisteredModel
from telecine.worker.model_server_watch import ModelServerWatch

_log = structlog.get_logger(__name__)
_PERIOD_SECONDS = 1.0
# A worker that died is missed after this long.
_TTL_SECONDS = 3.0


class ModelPublisher:
    """Repeats, while the worker lives, what it serves and whether it can serve it now."""

    def __init__(
        self,
        directory: ModelDirectory,
        jobs: JobStore,
        *,
        models: Sequence[RegisteredModel],
        watch: ModelServerWatch,
        worker_id: str,
    ) -> None:
        self._directory = directory
        self._jobs = jobs
        self._models = models
        self._watch = watch
        self._worker_id = worker_id

    async def run(self) -> None:
        """Publishes for ever; Redis that is away is tried again."""
        while True:
            try:
                await self._publish(is_ready=await self._watch.is_ready())
            except StoreUnavailableError as error:
                _log.warning("not_published", error=str(error))
            await asyncio.sleep(_PERIOD_SECONDS)

    async def _publish(self, *, is_ready: bool) -> None:
        for model in self._models:
            if is_ready:
                await self._directory.publish(
                    model.card, worker_id=self._worker_id, ttl_seconds=_TTL_SECONDS
                )
            else:
                await self._directory.record(model.card)
                await self._jobs.notify_waiting(
                    model.model_id,
                    reason=ModelServerUnavailableError.reason,
                    message="the model server cannot be reached; the video waits for it",
                )
