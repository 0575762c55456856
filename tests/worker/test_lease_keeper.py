"""The lease's heartbeats and what they break off, on a real Redis."""

import asyncio
from pathlib import Path

import pytest
from submissions import claim

from telecine.errors import LeaseLostError
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.v1 import video_pb2
from telecine.worker.interruptions import VideoCancelled
from telecine.worker.lease_keeper import LeaseKeeper

from .conftest import submission

FOREVER = 60.0


async def test_body_is_broken_off_when_the_video_is_cancelled(
    jobs: JobStore, assignment: Assignment
) -> None:
    with pytest.raises(VideoCancelled):
        async with LeaseKeeper(jobs, assignment.lease, heartbeat_seconds=0.02):
            await jobs.cancel(assignment.video.name)
            await asyncio.sleep(FOREVER)
    assert (
        await jobs.acknowledge_cancel(assignment.lease)
    ).state == video_pb2.Video.STATE_CANCELLED


async def test_body_is_broken_off_when_the_lease_is_lost(
    jobs: JobStore, assignment: Assignment
) -> None:
    with pytest.raises(LeaseLostError):
        async with LeaseKeeper(jobs, assignment.lease, heartbeat_seconds=0.02):
            await jobs.requeue(assignment.lease, reason="TEST")
            await asyncio.sleep(FOREVER)


async def test_a_held_lease_outlives_its_length(jobs: JobStore) -> None:
    await jobs.submit(submission())
    held = await claim(jobs, lease_seconds=1.0)
    assert held is not None
    async with LeaseKeeper(jobs, held.lease, heartbeat_seconds=0.05):
        await asyncio.sleep(1.5)
        assert await jobs.expire_leases() == 0


async def test_cancel_from_outside_stays_a_cancel(jobs: JobStore, assignment: Assignment) -> None:
    async def body() -> None:
        async with LeaseKeeper(jobs, assignment.lease, heartbeat_seconds=0.02):
            await asyncio.sleep(FOREVER)

    task = asyncio.create_task(body())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_body_stays_that_error(
    jobs: JobStore, assignment: Assignment
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with LeaseKeeper(jobs, assignment.lease, heartbeat_seconds=0.02):
            raise ZeroDivisionError


async def test_body_goes_on_while_redis_is_away(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    with server:
        client = connect_redis(server.url)
        jobs = JobStore(client)
        await jobs.load_functions()
        await jobs.submit(submission())
        held = await claim(jobs, lease_seconds=60.0)
        assert held is not None
        async with LeaseKeeper(jobs, held.lease, heartbeat_seconds=0.02):
            server.kill()
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.start)
            await asyncio.sleep(0.2)
        assert (await jobs.get(held.video.name)).state == video_pb2.Video.STATE_RUNNING
        await jobs.close()
        await client.aclose()
