"""Keeps a lease alive, and stops the work when the video is no longer the worker's to make."""

import asyncio
from types import TracebackType
from typing import Self

import structlog

from telecine.errors import StoreUnavailableError
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Lease
from telecine.worker.interruptions import obey

_log = structlog.get_logger(__name__)


class LeaseKeeper:
    """An async context that beats in the background and breaks off its body, as a time-out would.

    The body ends with LeaseLostError once another worker may hold the video, and with
    VideoCancelled once a client has cancelled it. While Redis is away the body goes on:
    whether the lease outlived that is for Redis to say when it is back.
    """

    def __init__(self, jobs: JobStore, lease: Lease, *, heartbeat_seconds: float) -> None:
        self._jobs = jobs
        self._lease = lease
        self._heartbeat_seconds = heartbeat_seconds
        self._interruption: Exception | None = None
        self._body: asyncio.Task[object] | None = None
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._body = asyncio.current_task()
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._beating is not None
        assert self._body is not None
        self._beating.cancel()
        try:
            await asyncio.wait([self._beating])
        except asyncio.CancelledError:
            if self._interruption is None:
                raise
        if self._interruption is None:
            return
        # A cancel from outside, beside our own, must go on as one.
        is_ours_alone = self._body.uncancel() == 0
        if is_ours_alone and (exc is None or isinstance(exc, asyncio.CancelledError)):
            raise self._interruption from None

    async def _beat(self) -> None:
        while self._interruption is None:
            await asyncio.sleep(self._heartbeat_seconds)
            try:
                obey(await self._jobs.heartbeat(self._lease))
            except StoreUnavailableError as error:
                _log.warning("heartbeat_failed", video=self._lease.video_name, error=str(error))
            except Exception as interruption:
                self._interrupt(interruption)

    def _interrupt(self, interruption: Exception) -> None:
        assert self._body is not None
        self._interruption = interruption
        self._body.cancel()
