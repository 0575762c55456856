"""Videos that wait for a model server hear of it, once."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.jobs.model_directory import ModelDirectory
from telecine.jobs.redis_client import connect_redis
from telecine.v1 import model_pb2

from .conftest import submission


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect_redis(redis_url)
    yield client
    await client.aclose()


async def num_notices(redis: Redis, name: str) -> int:
    return sum(event.HasField("notice") for event in await EventLog(redis).read(name))


async def test_each_waiting_video_of_the_model_hears_it_once(jobs: JobStore, redis: Redis) -> None:
    waiting = await jobs.submit(submission())
    assert await jobs.notify_waiting("toybox", reason="AWAY", message="it is away") == 1
    assert await jobs.notify_waiting("toybox", reason="AWAY", message="it is away") == 0
    assert await jobs.notify_waiting("other", reason="AWAY", message="it is away") == 0
    assert await num_notices(redis, waiting.name) == 1


async def test_nobody_hears_it_while_a_worker_has_the_model_ready(
    jobs: JobStore, redis: Redis
) -> None:
    await jobs.submit(submission())
    model = model_pb2.Model(name="models/toybox")
    await ModelDirectory(redis).publish(model, worker_id="other", ttl_seconds=30.0)
    assert await jobs.notify_waiting("toybox", reason="AWAY", message="it is away") == 0


async def test_a_recorded_model_is_listed_as_unavailable(redis: Redis) -> None:
    directory = ModelDirectory(redis)
    await directory.record(model_pb2.Model(name="models/toybox"))
    (model,) = await directory.list_models()
    assert model.state == model_pb2.Model.STATE_UNAVAILABLE
