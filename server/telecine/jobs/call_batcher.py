"""Sends the calls of a process together, as many as come while answers are awaited."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

Argument: TypeAlias = str | bytes | int | float

# More than one, so that Redis works on one batch while we read the answers of another: each takes
# its part of the calls that are made at the time.
_SENDERS = 2
_MAX_CALLS = 64  # in one batch


class Call(NamedTuple):
    """A call of a Redis function."""

    function: str
    arguments: Mapping[str, Argument]


Send: TypeAlias = Callable[[Sequence[Call]], Awaitable[Sequence[Any]]]


class CallBatcher:
    """Turns calls made side by side into batches: one write, one read, one fsync for many.

    A call that comes alone goes out at once. Calls made side by side have no order, as on
    connections of their own. One that is cancelled before it went out is not made.

    Args:
        send: makes several calls and returns their answers, an exception where one was refused.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[tuple[Call, asyncio.Future[Any]]] = deque()
        self._num_senders = 0
        self._num_sent = 0  # of those that are not answered
        self._tasks: set[asyncio.Task[None]] = set()  # a loop holds its tasks only weakly

    async def call(self, call: Call) -> Any:
        """Makes a call and returns its answer; raises what it was refused with."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answer))
        if self._num_senders < _SENDERS:
            self._num_senders += 1
            task = asyncio.create_task(self._send_waiting())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _send_waiting(self) -> None:
        try:
            while batch := self._next_batch():
                await self._send_batch(batch)
        finally:
            # In the same breath as the empty look above, else a call between would wait for ever.
            self._num_senders -= 1

    def _next_batch(self) -> list[tuple[Call, asyncio.Future[Any]]]:
        batch: list[tuple[Call, asyncio.Future[Any]]] = []
        most = min(_MAX_CALLS, math.ceil((len(self._waiting) + self._num_sent) / _SENDERS))
        while self._waiting and len(batch) < most:
            call = self._waiting.popleft()
            if not call[1].done():
                batch.append(call)
        return batch

    async def _send_batch(self, batch: list[tuple[Call, asyncio.Future[Any]]]) -> None:
        answers: Sequence[Any]
        self._num_sent += len(batch)
        try:
            answers = await self._send([call for call, _ in batch])
        except Exception as error:  # it belongs to those who called
            answers = [error] * len(batch)
        finally:
            self._num_sent -= len(batch)
        for (_, answer), value in zip(batch, answers, strict=True):
            if answer.done():  # its caller was cancelled
                continue
            if isinstance(value, Exception):
                answer.set_exception(value)
            else:
                answer.set_result(value)
