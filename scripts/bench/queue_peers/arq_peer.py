"""arq: a sorted set of jobs, a worker in burst mode."""

import time
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func
from drive import main, report, submit_all


async def no_op(_: dict[str, Any]) -> None:
    """Does nothing."""


async def measure(url: str, num_jobs: int, concurrency: int) -> None:
    """Submits and works off."""
    pool = await create_pool(RedisSettings.from_dsn(url))
    submitting = await submit_all(
        lambda: pool.enqueue_job("no_op"), num_jobs=num_jobs, concurrency=concurrency
    )
    worker = Worker(
        functions=[func(no_op)],
        redis_pool=pool,
        burst=True,
        max_jobs=concurrency,
        poll_delay=0.0,
        handle_signals=False,
        log_results=False,
    )
    begin = time.perf_counter()
    await worker.async_run()
    report(submitting, time.perf_counter() - begin)


main(measure)
