"""taskiq with taskiq-redis: a stream with acknowledgements, as its documentation advises."""

import asyncio
import time

from drive import Countdown, main, report, submit_all
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker


async def measure(url: str, num_jobs: int, concurrency: int) -> None:
    """Submits and works off."""
    broker = RedisStreamBroker(url)
    countdown = Countdown(num_jobs)

    @broker.task
    async def no_op() -> None:
        countdown.count()

    await broker.startup()
    submitting = await submit_all(no_op.kiq, num_jobs=num_jobs, concurrency=concurrency)
    begin = time.perf_counter()
    working = asyncio.create_task(run_receiver_task(broker, max_async_tasks=concurrency))
    await countdown.wait()
    seconds = time.perf_counter() - begin
    working.cancel()
    report(submitting, seconds)


main(measure)
