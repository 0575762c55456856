"""Pulls videos from the queue and keeps both lanes busy, until the worker drains."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from telecine.errors import StoreUnavailableError
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment, Capability
from telecine.worker.gpu_turn import GpuTurn
from telecine.worker.job_runner import JobRunner
from telecine.worker.model_server_watch import ModelServerWatch

_log = structlog.get_logger(__name__)
# An empty queue wakes its workers; this is only for a wake-up that was lost.
_LONGEST_WAIT_SECONDS = 5.0
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class ClaimOptions:
    """Who claims what.

    Attributes:
        capability: what the worker can make, as it is now.
        slice_steps: steps of the slice that a claim is charged for.
        backlog: how many videos may be held, the one on the GPU included.
    """

    worker_id: str
    capability: Callable[[], Capability]
    lease_seconds: float
    slice_steps: int
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
        self._finishing: set[asyncio.Task[None]] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._claim_id = secrets.token_hex(8)

    async def run(self) -> None:
        """Returns once the worker drains and every held video has found its end."""
        while not self._draining.is_set():
            if len(self._finishing) >= self._options.backlog:
                await self._unless_draining(self._until_one_is_finished())
            elif not (self._runner.disk.is_trusted and await self._watch.is_ready()):
                await self._unless_draining(asyncio.sleep(_PAUSE_SECONDS))
            else:
                await self._claim_once()
        if held := self._finishing | self._leaving:
            await asyncio.wait(held)

    async def _claim_once(self) -> None:
        try:
            # The same claim until it is answered: a lost answer does not cost a lease.
            assignment = await self._jobs.claim(
                self._options.worker_id,
                capability=self._options.capability(),
                slice_steps=self._options.slice_steps,
                lease_seconds=self._options.lease_seconds,
                claim_id=self._claim_id,
            )
            self._claim_id = secrets.token_hex(8)
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
        turn = GpuTurn()
        task = asyncio.create_task(self._runner.run(assignment, turn))
        await turn.wait()
        # What is handed back only waits for its last checkpoint to be copied.
        lane = self._finishing if turn.is_finishing else self._leaving
        lane.add(task)
        task.add_done_callback(lane.discard)

    async def _until_one_is_finished(self) -> None:
        await asyncio.wait(self._finishing, return_when=asyncio.FIRST_COMPLETED)

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
