"""Tells gateways which models this worker serves, and waiting videos why they wait."""

import asyncio

import structlog

from telecine.errors import ModelServerUnavailableError, StoreUnavailableError
from telecine.jobs.job_store import JobStore
from telecine.jobs.model_directory import ModelDirectory
from telecine.v1 import model_pb2
from telecine.worker.model_server_watch import ModelServerWatch
from telecine.worker.worker_models import MODEL_NOT_LOADED, WorkerModels

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
        models: WorkerModels,
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
        if is_ready:
            for model_id in await self._models.refresh():
                await self._directory.remove(model_id)
        for card in self._models.cards:
            model_id = card.name.removeprefix("models/")
            if not is_ready:
                await self._excuse(
                    card,
                    reason=ModelServerUnavailableError.reason,
                    message="the model server cannot be reached; the video waits for it",
                )
            elif self._models.is_shunned(model_id):
                await self._excuse(
                    card,
                    reason=MODEL_NOT_LOADED,
                    message="the model does not load; the video waits for a worker where it does",
                )
            else:
                await self._directory.publish(
                    card, worker_id=self._worker_id, ttl_seconds=_TTL_SECONDS
                )

    async def _excuse(self, card: model_pb2.Model, *, reason: str, message: str) -> None:
        """Says why the videos of a model wait, where no other worker can make them."""
        await self._directory.record(card)
        await self._jobs.notify_waiting(
            card.name.removeprefix("models/"), reason=reason, message=message
        )
