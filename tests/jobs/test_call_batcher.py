"""Calls made side by side go out together, and each gets its own answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import redis.exceptions
from redis.asyncio import Redis

from telecine.jobs.call_batcher import Call, CallBatcher
from telecine.jobs.redis_client import connect_redis

LIBRARY = """#!lua name=batcher_test
redis.register_function("bt_add", function(keys, args)
  if args[2] == "refuse" then return redis.error_reply("REFUSED as asked") end
  return redis.call("INCRBY", keys[1], args[2])
end)
"""


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    connected = connect_redis(redis_url)
    await connected.function_load(LIBRARY, replace=True)
    yield connected
    await connected.function_delete("batcher_test")
    await connected.aclose()


class Counter:
    """A number in Redis that calls are added to, and the batches in which they came."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._calls = CallBatcher(self._send)
        self.batches: list[int] = []

    async def add(self, amount: int | str) -> int:
        number: int = await self._calls.call(Call("bt_add", {"amount": amount}))
        return number

    async def _send(self, calls: Sequence[Call]) -> list[Any]:
        self.batches.append(len(calls))
        async with self._client.pipeline(transaction=False) as pipeline:
            for call in calls:
                ((name, value),) = call.arguments.items()
                pipeline.execute_command("FCALL", call.function, 1, "n", name, value)
            return await pipeline.execute(raise_on_error=False)


@pytest.fixture
def counter(client: Redis) -> Counter:
    return Counter(client)


async def test_each_call_gets_its_own_answer(counter: Counter) -> None:
    answers = await asyncio.gather(*(counter.add(1) for _ in range(500)))
    assert sorted(answers) == list(range(1, 501))


async def test_calls_side_by_side_share_batches(counter: Counter) -> None:
    await asyncio.gather(*(counter.add(1) for _ in range(500)))
    assert sum(counter.batches) == 500
    assert len(counter.batches) < 50


async def test_calls_side_by_side_are_parted_so_that_two_batches_are_under_way(
    counter: Counter,
) -> None:
    await asyncio.gather(*(counter.add(1) for _ in range(40)))
    assert counter.batches[:2] == [20, 20]


async def test_refused_call_does_not_touch_those_beside_it(counter: Counter) -> None:
    answers = await asyncio.gather(
        *(counter.add(value) for value in (1, "refuse", 1)), return_exceptions=True
    )
    assert isinstance(answers[1], redis.exceptions.ResponseError)
    assert {answers[0], answers[2]} == {1, 2}


async def test_cancelled_call_that_waits_is_not_made(counter: Counter) -> None:
    others = [asyncio.create_task(counter.add(1)) for _ in range(300)]
    last = asyncio.create_task(counter.add(1000))
    await asyncio.sleep(0)
    last.cancel()
    await asyncio.gather(*others)
    assert await counter.add(0) == 300


async def test_calls_after_a_quiet_time_go_out_again(counter: Counter) -> None:
    for number in range(1, 200):
        burst = [counter.add(1) for _ in range(number % 9)]
        await asyncio.wait_for(asyncio.gather(*burst), 10)


async def test_lost_server_fails_every_call_that_waits() -> None:
    client = connect_redis("redis://127.0.0.1:1/0")
    counter = Counter(client)
    answers = await asyncio.gather(*(counter.add(1) for _ in range(100)), return_exceptions=True)
    assert all(isinstance(answer, redis.exceptions.ConnectionError) for answer in answers)
    await client.aclose()
