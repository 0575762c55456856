"""Calls made side by side go out together, and each gets its own answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.exceptions
from redis.asyncio import Redis

from telecine.jobs.call_batcher import CallBatcher
from telecine.jobs.redis_client import connect_redis

LIBRARY = """#!lua name=batcher_test
redis.register_function("bt_add", function(keys, args)
  if args[1] == "refuse" then return redis.error_reply("REFUSED as asked") end
  return redis.call("INCRBY", keys[1], args[1])
end)
"""


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    connected = connect_redis(redis_url)
    await connected.function_load(LIBRARY, replace=True)
    yield connected
    await connected.function_delete("batcher_test")
    await connected.aclose()


async def num_pipelines(client: Redis) -> int:
    """Reads that the server has seen, which a pipeline is one of."""
    stats = await client.info("stats")
    return int(stats["total_reads_processed"])


async def test_each_call_gets_its_own_answer(client: Redis) -> None:
    calls = CallBatcher(client)
    answers = await asyncio.gather(*(calls.fcall("bt_add", 1, "n", 1) for _ in range(500)))
    assert sorted(answers) == list(range(1, 501))


async def test_calls_side_by_side_share_pipelines(client: Redis) -> None:
    calls = CallBatcher(client)
    before = await num_pipelines(client)
    await asyncio.gather(*(calls.fcall("bt_add", 1, "n", 1) for _ in range(500)))
    assert await num_pipelines(client) - before < 100


async def test_refused_call_does_not_touch_those_beside_it(client: Redis) -> None:
    calls = CallBatcher(client)
    answers = await asyncio.gather(
        *(calls.fcall("bt_add", 1, "n", value) for value in (1, "refuse", 1)),
        return_exceptions=True,
    )
    assert isinstance(answers[1], redis.exceptions.ResponseError)
    assert [answers[0], answers[2]] == [1, 2]


async def test_cancelled_call_that_waits_is_not_made(client: Redis) -> None:
    calls = CallBatcher(client)
    others = [asyncio.create_task(calls.fcall("bt_add", 1, "n", 1)) for _ in range(300)]
    last = asyncio.create_task(calls.fcall("bt_add", 1, "n", 1000))
    await asyncio.sleep(0)
    last.cancel()
    await asyncio.gather(*others)
    assert await calls.fcall("bt_add", 1, "n", 0) == 300


async def test_calls_after_a_quiet_time_go_out_again(client: Redis) -> None:
    calls = CallBatcher(client)
    for number in range(1, 200):
        burst = [calls.fcall("bt_add", 1, "n", 1) for _ in range(number % 9)]
        await asyncio.wait_for(asyncio.gather(*burst), 10)


async def test_lost_server_fails_every_call_that_waits() -> None:
    client = connect_redis("redis://127.0.0.1:1/0")
    calls = CallBatcher(client)
    answers = await asyncio.gather(
        *(calls.fcall("bt_add", 1, "n", 1) for _ in range(100)), return_exceptions=True
    )
    assert all(isinstance(answer, redis.exceptions.ConnectionError) for answer in answers)
    await client.aclose()
