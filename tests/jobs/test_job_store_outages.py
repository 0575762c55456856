"""The job store while Redis is killed, emptied, full or not there."""

import pytest
from redis.asyncio import Redis
from submissions import claim, claim_next, make_submission

from telecine.errors import StoreUnavailableError
from telecine.jobs.job_store import JobStore
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.v1 import video_pb2


async def test_killed_redis_loses_no_accepted_video_and_no_lease(
    server: RedisServer, store: JobStore
) -> None:
    names = {(await store.submit(make_submission())).name for _ in range(20)}
    lease = (await claim_next(store)).lease
    server.kill()
    with pytest.raises(StoreUnavailableError):
        await store.submit(make_submission())
    with pytest.raises(StoreUnavailableError):
        await store.wait_for_work(60.0)
    server.start()
    assert not (await store.heartbeat(lease)).is_cancelled
    await store.complete(lease, [])
    done = {lease.video_name}
    while assignment := await claim(store):
        done.add((await store.complete(assignment.lease, [])).name)
    assert done == names


async def test_emptied_redis_gets_its_functions_again(store: JobStore, client: Redis) -> None:
    await store.load_functions()
    await store.load_functions()
    await client.function_flush()
    await store.submit(make_submission())


async def test_redis_out_of_memory_is_unavailable_and_recovers(
    store: JobStore, client: Redis
) -> None:
    video = await store.submit(make_submission())
    await client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailableError):
        await store.submit(make_submission())
    assert (await store.get(video.name)).state == video_pb2.Video.STATE_QUEUED
    await client.config_set("maxmemory", 0)
    await store.submit(make_submission())


async def test_redis_that_was_never_there_is_unavailable() -> None:
    absent = connect_redis("redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailableError):
        await JobStore(absent).submit(make_submission())
    await absent.aclose()
