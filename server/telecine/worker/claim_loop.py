"""Pulls videos from the queue and keeps both lanes busy, until the worker drains."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

import structlog

from telecine.errors import StoreUnavailableError
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment, Capability
from telecine.worker.job_runner import JobRunner
from telecine.worker.model_server_watch import ModelServerWatch

_log = structlog.get_logger(__name__)
# An empty queue wakes its workers; this is only for a wake-up that was lost.
_LONGEST_WAIT_SECONDS = 5.0
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class ClaimOptions:
    """Who claims what; `backlog` is how many videos may be held, the one on the GPU included."""

    worker_id: str
    models: Sequence[str]
    slice_steps: int
    lease_seconds: float
    backlog: int


class ClaimLoop:
    """Claims a video whenever the GPU lane is free and the finishing lane is not full."""

    def __init__(
        self,
        jobs: JobStore,
        runner: JobRunner,
        *,
        watch: ModelServerWatch,
        options: ClaimOptions,
        draining: asyncio.Event,
    ) -> None:
        self._jobs = jobs
        self._runner = runner
        self._watch = watch
        self._options = options
        self._draining = draining
        self._held: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Returns once the worker drains and every held video has found its end."""
        while not self._draining.is_set():
            if len(self._held) >= self._options.backlog:
                await asyncio.wait(self._held, return_when=asyncio.FIRST_COMPLETED)
            elif not await self._watch.is_ready():
                await self._unless_draining(asyncio.sleep(_PAUSE_SECONDS))
            else:
                await self._claim_once()
        if self._held:
            await asyncio.wait(self._held)

    async def _claim_once(self) -> None:
        models = tuple(self._options.models)
        try:
            assignment = await self._jobs.claim(
                self._options.worker_id,
                capability=Capability(models, models, memory_bytes=0),
                slice_steps=self._options.slice_steps,
                lease_seconds=self._options.lease_seconds,
            )
            if assignment is None:
                await self._unless_draining(self._jobs.wait_for_work(_LONGEST_WAIT_SECONDS))
        except StoreUnavailableError as error:
            _log.warning("store_unavailable", error=str(error))
            await self._unless_draining(asyncio.sleep(_PAUSE_SECONDS))
            return
        if assignment is not None:
            await self._start(assignment)

    async def _start(self, assignment: Assignment) -> None:
        _log.info("claimed", video=assignment.video.name, token=assignment.lease.token)
        gpu_released = asyncio.Event()
        task = asyncio.create_task(self._runner.run(assignment, gpu_released=gpu_released))
        self._held.add(task)
        task.add_done_callback(self._held.discard)
        await gpu_released.wait()

    async def _unless_draining(self, waiting: Awaitable[None]) -> None:
        """Waits, but not past the signal to drain."""
        work = asyncio.ensure_future(waiting)
        drain = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait((work, drain), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for task in (work, drain):
                task.cancel()
            await asyncio.gather(work, drain, return_exceptions=True)
