"""Drives one job queue through no-op jobs; each queue runs this in an environment of its own.

python PEER.py REDIS_URL NUM_JOBS CONCURRENCY prints the seconds of submitting and of working off.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import NoReturn

import uvloop


class Countdown:
    """Counts no-op jobs as they run."""

    def __init__(self, num_jobs: int) -> None:
        self._num_left = num_jobs
        self._is_done = asyncio.Event()

    def count(self) -> None:
        """One more job has run."""
        self._num_left -= 1
        if self._num_left == 0:
            self._is_done.set()

    async def wait(self) -> None:
        """Returns when all have run."""
        await self._is_done.wait()


async def submit_all(
    submit: Callable[[], Awaitable[object]], *, num_jobs: int, concurrency: int
) -> float:
    """Submits one job at a time from each of `concurrency` callers; returns the seconds."""
    numbers = iter(range(num_jobs))

    async def caller() -> None:
        for _ in numbers:
            await submit()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(caller())
    return time.perf_counter() - begin


def report(submit_seconds: float, work_seconds: float) -> NoReturn:
    """Prints the answer and ends the process: how a queue shuts down is not measured."""
    print(json.dumps({"submit": submit_seconds, "work": work_seconds}), flush=True)
    os._exit(0)


def main(measure: Callable[[str, int, int], Coroutine[object, object, None]]) -> None:
    """Reads the command line and measures."""
    url, num_jobs, concurrency = sys.argv[1:]
    uvloop.run(measure(url, int(num_jobs), int(concurrency)))
