"""Sends the function calls of a process together, as many as come while answers are awaited."""

import asyncio
from collections import deque
from typing import Any, TypeAlias

from redis.asyncio import Redis

Arguments: TypeAlias = tuple[str | bytes | int | float, ...]

# More than one, so that Redis works on one pipeline while we read the answers of another.
_SENDERS = 2
_MAX_CALLS = 64  # in one pipeline


class CallBatcher:
    """Turns calls made side by side into pipelines: one write, one read, one fsync for many.

    A call that comes alone goes out at once. Calls made side by side have no order, as on
    connections of their own. One that is cancelled before it went out is not made.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: deque[tuple[Arguments, asyncio.Future[Any]]] = deque()
        self._num_senders = 0
        self._tasks: set[asyncio.Task[None]] = set()  # a loop holds its tasks only weakly

    async def fcall(self, *arguments: str | bytes | int | float) -> Any:
        """Calls a Redis function and returns its answer; raises what redis-py raises."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((arguments, answer))
        if self._num_senders < _SENDERS:
            self._num_senders += 1
            task = asyncio.create_task(self._send())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _send(self) -> None:
        try:
            while batch := self._next_batch():
                await self._send_batch(batch)
        finally:
            # In the same breath as the empty look above, else a call between would wait for ever.
            self._num_senders -= 1

    def _next_batch(self) -> list[tuple[Arguments, asyncio.Future[Any]]]:
        batch: list[tuple[Arguments, asyncio.Future[Any]]] = []
        while self._waiting and len(batch) < _MAX_CALLS:
            call = self._waiting.popleft()
            if not call[1].done():
                batch.append(call)
        return batch

    async def _send_batch(self, batch: list[tuple[Arguments, asyncio.Future[Any]]]) -> None:
        answers: list[Any]
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for arguments, _ in batch:
                    pipeline.execute_command("FCALL", *arguments)
                answers = await pipeline.execute(raise_on_error=False)
        except Exception as error:  # it belongs to those who called
            answers = [error] * len(batch)
        for (_, answer), value in zip(batch, answers, strict=True):
            if answer.done():  # its caller was cancelled
                continue
            if isinstance(value, Exception):
                answer.set_exception(value)
            else:
                answer.set_result(value)
