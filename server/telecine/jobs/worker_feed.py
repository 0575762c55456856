"""Reads the workers once for all who watch them in this process."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from redis.asyncio import Redis

from telecine.errors import StoreUnavailableError, TelecineError
from telecine.jobs.keys import worker_changes_key
from telecine.jobs.redis_client import blocking_twin, translated_errors
from telecine.v1 import worker_pb2

# A worker that is lost changes nothing itself, so the list is read again this often.
_BLOCK_SECONDS = 1.0
_ANSWER_SECONDS = 5.0  # how late Redis may answer before it counts as gone


class WorkerFeed:
    """Follows the stream of changes while somebody watches."""

    def __init__(
        self,
        redis: Redis,
        queue: str,
        *,
        read: Callable[[], Awaitable[Sequence[worker_pb2.Worker]]],
    ) -> None:
        self._redis = redis
        self._key = worker_changes_key(queue)
        self._read = read
        self._workers: Sequence[worker_pb2.Worker] = ()
        self._num_reads = 0
        self._failure: TelecineError | None = None
        self._changed = asyncio.Event()
        self._num_watchers = 0
        self._reading: asyncio.Task[None] | None = None

    async def watch(self) -> AsyncGenerator[worker_pb2.Worker, None]:
        """Yields every worker, then each that has changed in more than when it was heard of.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        told: dict[str, bytes] = {}
        self._num_watchers += 1
        try:
            self._start()
            while self._failure is None:
                num_reads = self._num_reads
                for worker in self._workers:
                    shown = _without_update_time(worker)
                    if told.get(worker.name) != shown:
                        told[worker.name] = shown
                        yield worker
                if self._num_reads == num_reads:
                    await self._changed.wait()
            raise self._failure
        finally:
            self._num_watchers -= 1
            if self._num_watchers == 0:
                await self._stop()

    async def close(self) -> None:
        """Ends all watches."""
        await self._stop()
        self._fail(StoreUnavailableError("the gateway is stopping"))

    def _start(self) -> None:
        if self._reading is None or self._reading.done():
            self._failure, self._workers = None, ()
            self._reading = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        blocking = blocking_twin(self._redis)
        seen: bytes | str = "0-0"
        try:
            while True:
                self._workers = await self._read()
                self._num_reads += 1
                self._wake()
                seen = await self._wait_for_change(blocking, seen)
        except TelecineError as failure:
            self._fail(failure)
        finally:
            await blocking.aclose()

    async def _wait_for_change(self, blocking: Redis, seen: bytes | str) -> bytes | str:
        with translated_errors():
            async with asyncio.timeout(_BLOCK_SECONDS + _ANSWER_SECONDS):
                answer: Any = await blocking.xread(
                    {self._key: seen}, block=int(1000 * _BLOCK_SECONDS)
                )
        return answer[0][1][-1][0] if answer else seen

    async def _stop(self) -> None:
        # Given up first: who comes to watch while it ends starts another.
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _fail(self, failure: TelecineError) -> None:
        self._failure = failure
        self._wake()

    def _wake(self) -> None:
        # Wakes those who wait now; who comes later looks at the workers first.
        self._changed.set()
        self._changed.clear()


def _without_update_time(worker: worker_pb2.Worker) -> bytes:
    shown = worker_pb2.Worker()
    shown.CopyFrom(worker)
    shown.ClearField("update_time")
    return shown.SerializeToString(deterministic=True)
