"""streaq: Redis streams, a worker that prefetches, in burst mode."""

import time

from drive import main, report, submit_all
from streaq import Worker


async def measure(url: str, num_jobs: int, concurrency: int) -> None:
    """Submits and works off."""
    worker = Worker(redis_url=url, concurrency=concurrency, handle_signals=False)

    @worker.task
    async def no_op() -> None:
        """Does nothing."""

    async def submit() -> None:
        await no_op.enqueue()

    async with worker:
        submitting = await submit_all(submit, num_jobs=num_jobs, concurrency=concurrency)
    worker.burst = True
    begin = time.perf_counter()
    await worker.run_async()
    report(submitting, time.perf_counter() - begin)


main(measure)
