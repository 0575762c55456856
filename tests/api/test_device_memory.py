"""What memory there is for a model is what the largest live worker of it has."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from telecine.api.device_memory import UNLIMITED, DeviceMemory
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.worker_directory import WorkerDirectory
from telecine.v1 import worker_pb2


@pytest.fixture
async def directory(redis_url: str) -> AsyncIterator[WorkerDirectory]:
    client: Redis = connect_redis(redis_url)
    workers = WorkerDirectory(client)
    yield workers
    await workers.close()
    await client.aclose()


async def publish(
    directory: WorkerDirectory, name: str, memory_bytes: int, model: str = "toybox"
) -> None:
    worker = worker_pb2.Worker(
        name=f"workers/{name}", models=[f"models/{model}"], memory_bytes=memory_bytes
    )
    await directory.publish(worker, ttl_seconds=60.0)


async def test_the_largest_worker_of_the_model_counts(directory: WorkerDirectory) -> None:
    await publish(directory, "small", 10)
    await publish(directory, "large", 20)
    await publish(directory, "other", 30, model="wan")
    assert await DeviceMemory(directory).largest_bytes("models/toybox") == 20


async def test_a_worker_without_a_limit_has_room_for_everything(directory: WorkerDirectory) -> None:
    await publish(directory, "limited", 10)
    await publish(directory, "unlimited", 0)
    assert await DeviceMemory(directory).largest_bytes("models/toybox") == UNLIMITED


async def test_a_worker_that_is_lost_has_none(directory: WorkerDirectory) -> None:
    worker = worker_pb2.Worker(name="workers/lost", models=["models/toybox"], memory_bytes=10)
    await directory.publish(worker, ttl_seconds=0.0)
    assert await DeviceMemory(directory).largest_bytes("models/toybox") == 0
