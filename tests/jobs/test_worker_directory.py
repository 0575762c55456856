"""What workers say of themselves and what they are told, on a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from redis.asyncio import Redis

from telecine.errors import NotFoundError, StoreUnavailableError
from telecine.jobs.keys import queue_key
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.jobs.worker_directory import WorkerDirectory
from telecine.v1 import worker_pb2

State = worker_pb2.Worker.State
GENERATING, IDLE = worker_pb2.Worker.STATE_GENERATING, worker_pb2.Worker.STATE_IDLE


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect_redis(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def directory(redis: Redis) -> AsyncIterator[WorkerDirectory]:
    found = WorkerDirectory(redis)
    yield found
    await found.close()


def a_worker(
    worker_id: str = "a", *, state: State.ValueType = IDLE, start_seconds: int = 1
) -> worker_pb2.Worker:
    worker = worker_pb2.Worker(
        name=f"workers/{worker_id}", state=state, models=["models/toybox", "models/wan"]
    )
    worker.start_time.FromSeconds(start_seconds)
    return worker


async def num_alive(redis: Redis, model: str) -> int:
    return int(await redis.zcard(f"{queue_key('0')}:alive:{model}"))


async def test_workers_are_listed_by_name_as_they_said_they_are(
    directory: WorkerDirectory,
) -> None:
    await directory.publish(a_worker("b"), ttl_seconds=30)
    await directory.publish(a_worker("a", state=GENERATING), ttl_seconds=30)
    first, second = await directory.list_workers()
    assert (first.name, first.state, first.is_alive) == ("workers/a", GENERATING, True)
    assert first.HasField("update_time")
    assert second.name == "workers/b"
    assert (await directory.get("workers/b")).state == IDLE


async def test_a_lost_worker_is_listed_as_not_alive(directory: WorkerDirectory) -> None:
    await directory.publish(a_worker(), ttl_seconds=0.01)
    await asyncio.sleep(0.05)
    assert not (await directory.get("workers/a")).is_alive


async def test_there_is_no_worker_that_was_never_heard_of(directory: WorkerDirectory) -> None:
    with pytest.raises(NotFoundError):
        await directory.get("workers/a")
    with pytest.raises(NotFoundError):
        await directory.request_drain("workers/a")


async def test_a_serving_worker_counts_for_each_of_its_models(
    directory: WorkerDirectory, redis: Redis
) -> None:
    for worker_id in ("a", "b"):
        await directory.publish(a_worker(worker_id), ttl_seconds=30)
    assert [await num_alive(redis, model) for model in ("toybox", "wan", "other")] == [2, 2, 0]
    await directory.publish(a_worker("a"), ttl_seconds=30, is_serving=False)
    assert await num_alive(redis, "toybox") == 1


async def test_a_worker_is_told_to_drain_until_it_starts_anew(directory: WorkerDirectory) -> None:
    assert not await directory.publish(a_worker(), ttl_seconds=30)
    assert (await directory.request_drain("workers/a")).is_draining
    assert (await directory.request_drain("workers/a")).is_draining
    assert await directory.publish(a_worker(), ttl_seconds=30)
    assert not await directory.publish(a_worker(start_seconds=2), ttl_seconds=30)
    assert not (await directory.get("workers/a")).is_draining


async def test_a_watcher_sees_all_workers_and_then_each_change(
    directory: WorkerDirectory,
) -> None:
    for worker_id in ("a", "b"):
        await directory.publish(a_worker(worker_id), ttl_seconds=30)
    workers = directory.watch()
    assert [(await anext(workers)).name for _ in range(2)] == ["workers/a", "workers/b"]
    await directory.publish(a_worker("a"), ttl_seconds=30)  # it only lives on
    await directory.publish(a_worker("b", state=GENERATING), ttl_seconds=30)
    changed = await anext(workers)
    assert (changed.name, changed.state) == ("workers/b", GENERATING)
    await directory.request_drain("workers/a")
    drained = await anext(workers)
    assert (drained.name, drained.is_draining) == ("workers/a", True)
    await workers.aclose()


async def test_a_watcher_sees_a_worker_get_lost(directory: WorkerDirectory) -> None:
    await directory.publish(a_worker(), ttl_seconds=0.2)
    workers = directory.watch()
    assert (await anext(workers)).is_alive
    assert not (await anext(workers)).is_alive
    await workers.aclose()


async def test_watchers_share_one_reader_and_each_sees_everything(
    directory: WorkerDirectory, redis: Redis
) -> None:
    await directory.publish(a_worker(), ttl_seconds=30)
    watches = [directory.watch() for _ in range(3)]
    await asyncio.gather(*map(anext, watches))
    blocked = [client for client in await redis.client_list() if client["cmd"] == "xread"]
    assert len(blocked) <= 1
    await directory.publish(a_worker(state=GENERATING), ttl_seconds=30)
    seen = await asyncio.gather(*map(anext, watches))
    assert [worker.state for worker in seen] == [GENERATING] * 3
    await asyncio.gather(*(watch.aclose() for watch in watches))


async def test_who_comes_while_the_last_watcher_leaves_sees_everything(
    directory: WorkerDirectory,
) -> None:
    await directory.publish(a_worker(), ttl_seconds=30)
    last = directory.watch()
    await anext(last)
    leaving = asyncio.create_task(last.aclose())
    await asyncio.sleep(0)  # it ends its reader now
    async with asyncio.timeout(10), aclosing(directory.watch()) as workers:
        assert (await anext(workers)).state == IDLE
        await leaving
        await directory.publish(a_worker(state=GENERATING), ttl_seconds=30)
        assert (await anext(workers)).state == GENERATING


async def test_a_watcher_is_told_that_redis_is_away(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        client = connect_redis(server.url)
        directory = WorkerDirectory(client)
        await directory.publish(a_worker(), ttl_seconds=30)
        workers = directory.watch()
        await anext(workers)
        server.kill()
        with pytest.raises(StoreUnavailableError):
            await anext(workers)
        await client.aclose()


async def test_closing_the_directory_ends_its_watches(directory: WorkerDirectory) -> None:
    await directory.publish(a_worker(), ttl_seconds=30)
    workers = directory.watch()
    await anext(workers)
    waiting = asyncio.ensure_future(anext(workers))
    await asyncio.sleep(0.01)
    await directory.close()
    with pytest.raises(StoreUnavailableError):
        await waiting
