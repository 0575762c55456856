"""SAQ: lists, a worker of as many tasks as callers."""

import asyncio
import time
from typing import Any

from drive import Countdown, main, report, submit_all
from saq import Queue, Worker


async def measure(url: str, num_jobs: int, concurrency: int) -> None:
    """Submits and works off."""
    queue = Queue.from_url(url, max_concurrent_ops=concurrency)
    await queue.connect()
    countdown = Countdown(num_jobs)

    async def no_op(_: dict[str, Any]) -> None:
        countdown.count()

    submitting = await submit_all(
        lambda: queue.enqueue("no_op"), num_jobs=num_jobs, concurrency=concurrency
    )
    worker = Worker(queue, functions=[("no_op", no_op)], concurrency=concurrency)
    begin = time.perf_counter()
    working = asyncio.create_task(worker.start())
    await countdown.wait()
    seconds = time.perf_counter() - begin
    working.cancel()
    report(submitting, seconds)


main(measure)
