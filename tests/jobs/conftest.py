"""A job store on each kind of Redis that Telecine runs on, empty for every test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from redis.asyncio import Redis

from telecine.jobs.job_store import JobStore
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer, find_redis_binary, find_valkey_binary


@pytest.fixture(scope="session", params=sorted({find_redis_binary(), find_valkey_binary()}))
def each_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    binary: Path = request.param
    with RedisServer(tmp_path_factory.mktemp(binary.name), binary=binary) as server:
        yield server


@pytest.fixture
def server(each_server: RedisServer) -> RedisServer:
    if each_server.pid is None:
        each_server.start()
    with redis.Redis.from_url(each_server.url) as client:
        client.flushall()
    return each_server


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    connected = connect_redis(server.url)
    yield connected
    await connected.aclose()


@pytest.fixture
async def store(client: Redis) -> AsyncIterator[JobStore]:
    job_store = JobStore(client)
    yield job_store
    await job_store.close()
