"""Two lanes at once, and claims whose answers get lost.

The model server is a fake; what is tested is when the next video is claimed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from fake_triton import FakeTriton
from lane_worker import lane_submission, lane_worker
from redis.asyncio import Redis

from telecine.errors import ObjectStoreUnavailableError
from telecine.jobs.job_store import JobStore
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.storage.local_object_store import LocalObjectStore
from telecine.storage.object_store import StoredObject
from telecine.v1 import video_pb2, worker_pb2
from telecine.worker.progress_manager import TailEstimate

Video = video_pb2.Video
FIRST, SECOND, THIRD = 1, 2, 3


class GatedStore(LocalObjectStore):
    """A slow object store: files wait for `gate`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.gate = asyncio.Event()
        self.num_waiting = 0

    async def put_file(self, key: str, path: Path) -> StoredObject:
        self.num_waiting += 1
        await self.gate.wait()
        return await super().put_file(key, path)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect_redis(redis_url)
    yield client
    await client.aclose()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - another task makes it true
            await asyncio.sleep(0.005)


async def in_state(jobs: JobStore, name: str, state: Video.State.ValueType) -> None:
    async def is_there() -> bool:
        return (await jobs.get(name)).state == state

    await until(is_there)


async def test_the_gpu_takes_the_next_video_while_files_are_stored(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    store = GatedStore(tmp_path / "objects")
    triton = FakeTriton(is_gated=True)
    first, second = [(await jobs.submit(lane_submission(seed))).name for seed in (FIRST, SECOND)]
    async with lane_worker(redis, triton, tmp_path, store=store) as (manager, _):
        for _ in range(12):
            triton.gate.release()

        async def is_next_on_gpu() -> bool:
            return SECOND in triton.steps and store.num_waiting > 0

        await until(is_next_on_gpu)
        shown = manager.describe()
        assert shown.state == worker_pb2.Worker.STATE_GENERATING
        assert [held.video for held in shown.assignments] == [second, first]
        assert shown.assignments[1].state == worker_pb2.Worker.STATE_UPLOADING
        store.gate.set()
        for _ in range(12):
            triton.gate.release()
        await in_state(jobs, first, Video.STATE_SUCCEEDED)
        await in_state(jobs, second, Video.STATE_SUCCEEDED)


async def test_no_more_is_claimed_than_can_be_finished(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    store = GatedStore(tmp_path / "objects")
    triton = FakeTriton()
    names = [(await jobs.submit(lane_submission(seed))).name for seed in (FIRST, SECOND, THIRD)]
    async with lane_worker(redis, triton, tmp_path, store=store, backlog=2):

        async def is_full() -> bool:
            return store.num_waiting == 2

        await until(is_full)
        await asyncio.sleep(0.1)
        assert THIRD not in triton.steps
        assert (await jobs.get(names[2])).state == Video.STATE_QUEUED
        store.gate.set()
        for name in names:
            await in_state(jobs, name, Video.STATE_SUCCEEDED)


class FarStore(LocalObjectStore):
    """An object store that is away when it is first used."""

    was_used = False

    async def put_file(self, key: str, path: Path) -> StoredObject:
        if not self.was_used:
            self.was_used = True
            raise ObjectStoreUnavailableError("the object store is away")
        return await super().put_file(key, path)


async def test_what_an_object_store_that_is_away_costs_is_expected_of_no_other_video(
    jobs: JobStore, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[int] = []
    monkeypatch.setattr(
        TailEstimate, "learn", lambda _, __, *, num_pixels: learnt.append(num_pixels)
    )
    store = FarStore(tmp_path / "objects")
    async with lane_worker(redis, FakeTriton(), tmp_path, store=store):
        for seed, num_learnt in ((FIRST, 0), (SECOND, 1)):
            video = await jobs.submit(lane_submission(seed))
            await in_state(jobs, video.name, Video.STATE_SUCCEEDED)
            assert len(learnt) == num_learnt


async def test_a_claim_whose_answer_was_lost_costs_no_lease(tmp_path: Path) -> None:
    """The store's answers get lost at random while its process is killed and started again."""
    with RedisServer(tmp_path / "redis") as server:
        client = connect_redis(server.url)
        jobs = JobStore(client)
        await jobs.load_functions()
        names = [(await jobs.submit(lane_submission(seed))).name for seed in range(6)]
        triton = FakeTriton(step_seconds=0.005)
        async with lane_worker(client, triton, tmp_path):
            for _ in range(4):
                await asyncio.sleep(0.05)
                server.kill()
                await asyncio.to_thread(server.start)
            for name in names:
                await in_state(jobs, name, Video.STATE_SUCCEEDED)
        assert [(await jobs.get(name)).attempt for name in names] == [1] * len(names)
        await jobs.close()
        await client.aclose()
