"""The gateway killed while a client watches."""

import asyncio

from telecine.client import AsyncClient

from .conftest import Service
from .long_video import finished, start_long_video
from .waiting import Event, all_events


async def test_a_watch_goes_on_after_the_gateway_was_killed(
    service: Service, client: AsyncClient
) -> None:
    service.start_worker()
    name = await start_long_video(client, at_step=3)
    seen: list[Event] = []
    num_killed = 0
    async with asyncio.timeout(120.0):
        async for event in client.watch_video(name):
            seen.append(event)
            if event.step_finished.step_index >= 10 * (num_killed + 1) and num_killed < 3:
                num_killed += 1
                await asyncio.to_thread(service.gateway.kill)
                service.gateway.start()
    assert num_killed == 3
    await finished(client, name)
    assert seen == await all_events(client, name)
