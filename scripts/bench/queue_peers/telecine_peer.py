"""Telecine: fair, fenced, repeatable; claims and completions of as many holders as callers."""

import asyncio
import time
from itertools import count

from drive import main, report, submit_all
from no_op_videos import CAPABILITY, make_submission

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import QueueLimits
from telecine.jobs.redis_client import connect_redis

LEASE_SECONDS = 60.0


async def measure(url: str, num_jobs: int, concurrency: int) -> None:
    """Submits and works off."""
    client = connect_redis(url)
    store = JobStore(client, limits=QueueLimits(num_jobs, num_jobs, concurrency))
    await store.load_functions()
    numbers = count()
    submitting = await submit_all(
        lambda: store.submit(make_submission(next(numbers))),
        num_jobs=num_jobs,
        concurrency=concurrency,
    )
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for holder in range(concurrency):
            group.create_task(work_off(store, f"holder{holder}"))
    report(submitting, time.perf_counter() - begin)


async def work_off(store: JobStore, worker_id: str) -> None:
    """Claims and completes until nothing waits."""
    for number in count():
        assignment = await store.claim(
            worker_id,
            capability=CAPABILITY,
            slice_steps=1,
            lease_seconds=LEASE_SECONDS,
            claim_id=f"{worker_id}/{number}",
        )
        if assignment is None:
            return
        await store.complete(assignment.lease, [])


main(measure)
