"""What a worker tells of itself, on a real Redis, and that it obeys a drain."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.worker_directory import WorkerDirectory
from telecine.v1 import worker_pb2
from telecine.worker.gpu_turn import GpuTurn
from telecine.worker.worker_manager import HeldAssignment, WorkerManager, WorkerOptions
from telecine.worker.worker_state import WorkerState

from .conftest import WORKER_ID

NAME = f"workers/{WORKER_ID}"


@pytest.fixture
async def directory(redis_url: str) -> AsyncIterator[WorkerDirectory]:
    client = connect_redis(redis_url)
    found = WorkerDirectory(client)
    yield found
    await found.close()
    await client.aclose()


@pytest.fixture
def draining() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def manager(
    directory: WorkerDirectory, draining: asyncio.Event
) -> AsyncIterator[WorkerManager]:
    manager = WorkerManager(
        directory,
        WorkerOptions(worker_id=WORKER_ID, models=lambda: ["toybox", "wan"], memory_bytes=1 << 30),
        draining=draining,
        is_ready=lambda: True,
        loaded_models=lambda: ["toybox"],
    )
    publishing = asyncio.create_task(manager.run())
    yield manager
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)


async def seen(
    directory: WorkerDirectory, is_wanted: Callable[[worker_pb2.Worker], bool]
) -> worker_pb2.Worker:
    """Watches until the worker is as wanted."""
    async with asyncio.timeout(30), aclosing(directory.watch()) as workers:
        async for worker in workers:
            if is_wanted(worker):
                return worker
    raise AssertionError("the watch ended")


def enter(held: HeldAssignment, *states: WorkerState) -> None:
    for state in states:
        held.state.enter(state)


async def test_an_idle_worker_says_what_it_is(
    manager: WorkerManager, directory: WorkerDirectory
) -> None:
    worker = await seen(directory, lambda worker: worker.is_alive)
    assert (worker.name, worker.state) == (NAME, worker_pb2.Worker.STATE_IDLE)
    assert list(worker.models) == ["models/toybox", "models/wan"]
    assert list(worker.loaded_models) == ["models/toybox"]
    assert worker.memory_bytes == 1 << 30
    assert worker.version
    assert not worker.assignments


async def test_the_headline_is_what_the_gpu_lane_does(
    manager: WorkerManager, directory: WorkerDirectory, assignment: Assignment
) -> None:
    turn = GpuTurn()
    finishing = manager.begin(assignment, turn)
    enter(finishing, WorkerState.LOADING, WorkerState.READY, WorkerState.INITIALIZING)
    enter(finishing, WorkerState.GENERATING, WorkerState.DECODING)
    turn.end(is_finishing=True)
    assert manager.describe().state == worker_pb2.Worker.STATE_IDLE
    on_gpu = manager.begin(assignment, GpuTurn())
    enter(on_gpu, WorkerState.LOADING)
    worker = await seen(directory, lambda worker: len(worker.assignments) == 2)
    assert worker.state == worker_pb2.Worker.STATE_LOADING
    assert [held.state for held in worker.assignments] == [
        worker_pb2.Worker.STATE_LOADING,
        worker_pb2.Worker.STATE_DECODING,
    ]
    manager.end(finishing)
    manager.end(on_gpu)
    worker = await seen(directory, lambda worker: not worker.assignments)
    assert worker.state == worker_pb2.Worker.STATE_IDLE


async def test_steps_are_told_as_they_are_done(
    manager: WorkerManager, directory: WorkerDirectory, assignment: Assignment
) -> None:
    held = manager.begin(assignment, GpuTurn())
    held.state.finish_step(7)
    worker = await seen(directory, lambda worker: bool(worker.assignments))
    (shown,) = worker.assignments
    assert (shown.video, shown.step_index) == (assignment.video.name, 7)
    assert shown.num_inference_steps == assignment.video.spec.num_inference_steps
    assert shown.HasField("claim_time")
    manager.end(held)


async def test_a_worker_that_is_told_to_drain_drains(
    manager: WorkerManager, directory: WorkerDirectory, draining: asyncio.Event
) -> None:
    await seen(directory, lambda worker: worker.is_alive)
    await directory.request_drain(NAME)
    async with asyncio.timeout(30):
        await draining.wait()
    assert manager.describe().is_draining


async def test_a_worker_that_leaves_is_gone_at_once(
    manager: WorkerManager, directory: WorkerDirectory, draining: asyncio.Event
) -> None:
    await seen(directory, lambda worker: worker.is_alive)
    draining.set()
    await manager.leave()
    worker = await directory.get(NAME)
    assert (worker.is_alive, worker.is_draining) == (False, True)


async def test_workers_that_cannot_start_videos_are_not_counted(
    manager: WorkerManager,
    directory: WorkerDirectory,
    draining: asyncio.Event,
    jobs: JobStore,
    redis_url: str,
) -> None:
    client = connect_redis(redis_url)
    await seen(directory, lambda worker: worker.is_alive)
    assert await client.zcard("telecine:{0}:alive:toybox") == 1
    draining.set()
    await manager.leave()
    assert await client.zcard("telecine:{0}:alive:toybox") == 0
    await client.aclose()
