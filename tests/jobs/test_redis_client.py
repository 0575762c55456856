"""The client of a real Redis."""

import asyncio

import pytest

from telecine.jobs.redis_client import connect_redis


async def test_a_cancel_is_never_lost_however_far_the_call_is(redis_url: str) -> None:
    client = connect_redis(redis_url)
    await client.ping()
    for num_turns in list(range(12)) * 20:
        call = asyncio.create_task(client.echo("x"))
        for _ in range(num_turns):
            await asyncio.sleep(0)
        if not call.done():
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
    await client.aclose()
